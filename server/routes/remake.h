/*
 * How a retry with the Idempotency-Key of a request that was carried out is answered when the
 * first answer was lost: by the route's own `remake`; for a DELETE, by deleting what is left; else
 * by the GET that shows what the effect was on, if its answer is the same object.
 */
#ifndef SERVER_ROUTES_REMAKE_H
#define SERVER_ROUTES_REMAKE_H

#include "server/handlers/idempotent.h"
#include "server/routes/router.h"

struct idempotent_plan remake_plan(const struct route_table *const *tables, size_t count,
                                   const struct route *route);

#endif
