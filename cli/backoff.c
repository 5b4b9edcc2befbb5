#include "cli/backoff.h"

int64_t backoff_next(struct backoff *backoff, int64_t uptime_usec)
{
    if (backoff->delay_usec == 0 || uptime_usec >= BACKOFF_STEADY_USEC)
        backoff->delay_usec = BACKOFF_FIRST_USEC;
    else if (backoff->delay_usec >= BACKOFF_MAX_USEC / 2)
        backoff->delay_usec = BACKOFF_MAX_USEC;
    else
        backoff->delay_usec *= 2;
    return backoff->delay_usec;
}
