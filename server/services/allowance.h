/* A number of bytes that each tenant may have of something in an hour. Thread-safe. */
#ifndef SERVER_SERVICES_ALLOWANCE_H
#define SERVER_SERVICES_ALLOWANCE_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <stdbool.h>
#include <stdint.h>

struct allowance;

int allowance_create(struct allowance **ret_allowance, struct error *err);
void allowance_free(struct allowance *allowance); /* NULL is allowed */

/*
 * Takes `bytes`, at the monotonic time `now_usec`. False, and nothing is taken, when the tenant
 * would pass `most` in the hour that began with the first that it took.
 */
bool allowance_take(struct allowance *allowance, const struct id *tenant, uint64_t bytes,
                    uint64_t most, int64_t now_usec);

#endif
