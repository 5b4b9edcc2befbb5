/* Conditions (pthread_cond_t) whose waits end by the monotonic clock: a clock that is set neither
 * prolongs nor ends one. */
#ifndef LIB_BASE_CONDITION_H
#define LIB_BASE_CONDITION_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* As pthread_cond_init; pthread_cond_timedwait of it takes what condition_time makes. */
void condition_init(pthread_cond_t *condition);

/* A time of monotonic_usec as pthread_cond_timedwait and sem_clockwait take it. */
struct timespec condition_time(int64_t usec);

#endif
