/*
 * Writes numbered lines at a fixed rate, each with the time it was written: what bench/streams.c
 * follows. It runs inside a sandbox, so it is linked statically and needs nothing there.
 *
 *   ticker PER_SECOND LINES
 *
 * A line is "<number from 1> <CLOCK_MONOTONIC in microseconds>". That clock is the kernel's: the
 * same inside a sandbox and outside.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PER_SECOND_MAX = 1000000, NSEC_PER_SEC = 1000000000 };

static void advance(struct timespec *time, long nsec)
{
    time->tv_nsec += nsec;
    if (time->tv_nsec >= NSEC_PER_SEC) {
        time->tv_nsec -= NSEC_PER_SEC;
        time->tv_sec++;
    }
}

/* False when nobody reads any more. */
static int write_line(long number)
{
    char line[64];
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int size = snprintf(line, sizeof(line), "%ld %lld\n", number,
                        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    return write(STDOUT_FILENO, line, (size_t)size) == size;
}

int main(int argc, char **argv)
{
    long per_second = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    long lines = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (per_second < 1 || per_second > PER_SECOND_MAX || lines < 1) {
        (void)fputs("usage: ticker PER_SECOND LINES\n", stderr);
        return 2;
    }
    struct timespec next;
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    for (long number = 1; number <= lines; number++) {
        if (!write_line(number))
            return 1;
        advance(&next, NSEC_PER_SEC / per_second);
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR)
            continue;
    }
    return 0;
}
