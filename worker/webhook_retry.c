#include "worker/webhook_retry.h"

uint32_t webhook_retry_ms(int64_t attempt, int64_t first_ms, uint32_t random)
{
    int64_t longest = first_ms;

    while (--attempt > 0 && longest < WEBHOOK_RETRY_MAX_MS)
        longest *= 2;
    if (longest > WEBHOOK_RETRY_MAX_MS)
        longest = WEBHOOK_RETRY_MAX_MS;
    return (uint32_t)(longest / 2 + (int64_t)(random % (uint64_t)(longest / 2 + 1)));
}
