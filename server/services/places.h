/*
 * Places that tenants take, each for as long as it likes: a bounded number for each tenant, and for
 * all of them together. Thread-safe.
 */
#ifndef SERVER_SERVICES_PLACES_H
#define SERVER_SERVICES_PLACES_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <stdbool.h>

struct places;

int places_create(struct places **ret_places, struct error *err);
void places_free(struct places *places); /* NULL is allowed */

/* False when the tenant has `most` places already, all have `most_of_all`, or memory is short. */
bool places_take(struct places *places, const struct id *tenant, unsigned most,
                 unsigned most_of_all);

/* Gives a place back that was taken. */
void places_give(struct places *places, const struct id *tenant);

/* The same for `count` (1 or more) at once: all of them, or none. */
bool places_take_many(struct places *places, const struct id *tenant, unsigned count, unsigned most,
                      unsigned most_of_all);
void places_give_many(struct places *places, const struct id *tenant, unsigned count);

#endif
