/*
 * What tenants used. It is counted from what is kept as long as the log of events: runs, which are
 * rows of `processes`, and starts and ends of containers, which are events; the views of
 * migrations/0002 put them together. For errors see db.h.
 */
#ifndef LIB_DB_STORE_USAGE_H
#define LIB_DB_STORE_USAGE_H

#include "lib/db/store_sandbox.h"

enum { STORE_USAGE_DAY_SIZE = 11 }; /* "2026-01-02" and a NUL */

/* What one project used on one day, in UTC. */
struct store_usage {
    struct id project;
    char day[STORE_USAGE_DAY_SIZE];
    double sandbox_seconds;
    double cpu_seconds;
    double memory_mb_seconds; /* of the limit that was held */
    int64_t runs;             /* that began on that day */
};

/* From `from_usec` to before `until_usec`; `project` NULL: all. */
struct store_usage_range {
    int64_t from_usec;
    int64_t until_usec;
    const struct id *project;
};

/*
 * By day, then project; at most `limit`. The caller frees *ret_items (NULL when there are none).
 */
int store_usage_list(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_usage_range *range, uint32_t limit,
                     struct store_usage **ret_items, size_t *ret_count, struct error *err);

/* What the launcher counted of a container's generation when it ended. */
struct store_usage_end {
    struct id id;
    uint32_t generation; /* 0: the row's */
    uint64_t cpu_usec;   /* UINT64_MAX: not known */
    uint64_t memory_peak_bytes;
};

/* Writes the event sandbox.ended. `scope` NULL: of any tenant (worker). */
int store_usage_note(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_usage_end *end, const struct store_origin *origin,
                     struct error *err);

#endif
