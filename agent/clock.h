/* The times that the agent lives by. */
#ifndef AGENT_CLOCK_H
#define AGENT_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC. */
int64_t clock_usec(void);

/* Unix time in microseconds, for what others read. */
uint64_t clock_unix_usec(void);

/* Milliseconds from `now_usec` until `deadline_usec`, rounded up, for epoll: 0 when it has passed,
 * -1 for INT64_MAX. */
int clock_timeout_ms(int64_t deadline_usec, int64_t now_usec);

#endif
