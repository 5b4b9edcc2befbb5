#include "lib/base/condition.h"

enum { USEC_PER_SEC = 1000000, NSEC_PER_USEC = 1000 };

void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

struct timespec condition_time(int64_t usec)
{
    return (struct timespec){
        .tv_sec = usec / USEC_PER_SEC,
        .tv_nsec = usec % USEC_PER_SEC * NSEC_PER_USEC,
    };
}
