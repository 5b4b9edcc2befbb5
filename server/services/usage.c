#include "server/services/usage.h"

#include <stdlib.h>

#define DAY_USEC (INT64_C(86400) * 1000000)

static int check_range(const struct store_usage_range *range, struct error *err)
{
    if (range->until_usec < range->from_usec)
        return error_set_field(err, ERR_NOT_POSSIBLE, "to", "'to' must not be before 'from'");
    if (range->until_usec - range->from_usec > USAGE_DAYS_MAX * DAY_USEC)
        return error_set_field(err, ERR_NOT_POSSIBLE, "from",
                               "'from' and 'to' must be at most %d days apart", USAGE_DAYS_MAX);
    return 0;
}

int usage_list(struct services *services, const struct caller *caller,
               const struct store_usage_range *range, struct store_usage **ret_items,
               size_t *ret_count, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    if (check_range(range, err) < 0 ||
        store_usage_list(services->db, &scope, range, USAGE_ROWS_MAX + 1, ret_items, ret_count,
                         err) < 0)
        return -1;
    if (*ret_count <= USAGE_ROWS_MAX)
        return 0;
    free(*ret_items);
    return error_set_field(err, ERR_NOT_POSSIBLE, "from",
                           "more than %d projects and days: ask for fewer days, or by project_id",
                           USAGE_ROWS_MAX);
}
