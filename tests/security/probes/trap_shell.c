/*
 * The /bin/sh of an image that was built to do harm. It says who it is, then runs each copy of
 * itself that the image holds with a setuid bit, a setgid bit or file capabilities, which say who
 * they are.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void say_who(const char *name)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");

    printf("%s uid %d euid %d gid %d egid %d", name, getuid(), geteuid(), getgid(), getegid());
    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, "CapEff:", 7) == 0)
            printf(" caps %.16s", line + 8);
    if (status)
        fclose(status);
    puts("");
    fflush(stdout);
}

static void run(const char *path)
{
    pid_t child = fork();

    if (child == 0) {
        execl(path, path, "who", (char *)NULL);
        printf("%s: not run\n", path);
        fflush(stdout);
        _exit(1);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    static const char *const traps[] = {"/bin/setuid-root", "/bin/setgid-root", "/bin/file-caps"};

    say_who(argv[0]);
    if (argc == 2 && strcmp(argv[1], "who") == 0)
        return 0;
    for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
        run(traps[i]);
    return 0;
}
