#include "agent/clock.h"

#include <limits.h>
#include <time.h>

enum { USEC_PER_SEC = 1000000 };

int64_t clock_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

uint64_t clock_unix_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

int clock_timeout_ms(int64_t deadline_usec, int64_t now_usec)
{
    int64_t left;

    if (deadline_usec == INT64_MAX)
        return -1;
    left = (deadline_usec - now_usec + 999) / 1000;
    if (left < 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}
