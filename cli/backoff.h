/* How long a service that died waits before it is started again: 1 s, doubled up to 30 s. */
#ifndef CLI_BACKOFF_H
#define CLI_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_USEC  1000000
#define BACKOFF_MAX_USEC    30000000
#define BACKOFF_STEADY_USEC 60000000 /* who ran so long starts over with the first delay */

/* All-zero at first. */
struct backoff {
    int64_t delay_usec; /* of the last restart */
};

/* The delay in microseconds after a run of `uptime_usec`. */
int64_t backoff_next(struct backoff *backoff, int64_t uptime_usec);

#endif
