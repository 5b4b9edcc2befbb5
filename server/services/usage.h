/* What a tenant used: GET /v1/usage (docs/api/usage.md). */
#ifndef SERVER_SERVICES_USAGE_H
#define SERVER_SERVICES_USAGE_H

#include "lib/db/store_usage.h"
#include "server/services/services.h"

enum { USAGE_DAYS_MAX = 92, USAGE_ROWS_MAX = 5000 };

/*
 * By day, then project. ERR_NOT_POSSIBLE when the range ends before it begins, or has too many
 * days, or projects times days. The caller frees *ret_items.
 */
int usage_list(struct services *services, const struct caller *caller,
               const struct store_usage_range *range, struct store_usage **ret_items,
               size_t *ret_count, struct error *err);

#endif
