/*
 * Calls getpid through one of the three system call interfaces of an x86-64 kernel, and says what
 * came back: foreign_abi native|x32|i386.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long call_i386(long number)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

int main(int argc, char **argv)
{
    const long x32_bit = 0x40000000; /* __X32_SYSCALL_BIT */
    const long i386_getpid = 20;
    const char *abi = argc > 1 ? argv[1] : "native";
    long result;

    if (strcmp(abi, "x32") == 0)
        result = syscall(x32_bit | SYS_getpid);
    else if (strcmp(abi, "i386") == 0)
        result = call_i386(i386_getpid);
    else
        result = syscall(SYS_getpid);
    printf("%s: %ld errno %d\n", abi, result, result < 0 ? errno : 0);
    return result > 0 ? 0 : 1;
}
