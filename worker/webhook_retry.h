/* When a delivery that failed is tried again. */
#ifndef WORKER_WEBHOOK_RETRY_H
#define WORKER_WEBHOOK_RETRY_H

#include <stdint.h>

#define WEBHOOK_RETRY_MAX_MS 3600000

/*
 * Milliseconds to wait after the attempt with this number, counted from 1: `first_ms`, doubled for
 * each attempt, at most WEBHOOK_RETRY_MAX_MS; of it, the half and a random part of the other half,
 * so that what failed together does not come back together. `random` is any 32 random bits.
 */
uint32_t webhook_retry_ms(int64_t attempt, int64_t first_ms, uint32_t random);

#endif
