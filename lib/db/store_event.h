/*
 * The log of events, as tenants read it: newest first in pages, or oldest first by who follows it.
 *
 * Its order is (tx, id): the transaction that wrote an event, then the event. Who follows reads
 * only transactions older than every one that still runs (pg_snapshot_xmin), so that nothing can
 * appear behind the place he has reached. For errors see db.h.
 */
#ifndef LIB_DB_STORE_EVENT_H
#define LIB_DB_STORE_EVENT_H

#include "lib/db/db.h"

/* A place in the log: behind the event of this name. */
struct store_event_place {
    uint64_t tx;
    int64_t id;
};

/* One event. The strings belong to the list; NULL where there is none. */
struct store_event {
    struct store_event_place place;
    int64_t at_usec;
    struct id project; /* zeros: none */
    struct id sandbox; /* zeros: none */
    const char *kind;
    const char *from_state;
    const char *to_state;
    const char *actor;
    const char *request_id;
    const char *detail_json;
};

struct store_events {
    void *owner;
    struct store_event *items;
    size_t count;
};

void store_events_free(struct store_events *events);

/* What is wanted; NULL and 0: all. */
struct store_event_filter {
    const struct id *sandbox;
    const char *kind; /* a prefix */
    int64_t since_usec;
    int64_t until_usec; /* exclusive */
};

/* The most events of a tenant that one call looks at to find those that are wanted. */
enum { STORE_EVENT_PAGE_LOOK = 10000, STORE_EVENT_FOLLOW_LOOK = 2000 };

/*
 * The newest before the place (NULL: of all), at most `limit` (1 or more). *ret_more: there may be
 * others, before *ret_next, though none may have been found by now: what looks for few events among
 * many goes on from call to call. The caller frees them.
 */
int store_event_list(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_event_filter *filter,
                     const struct store_event_place *before, uint32_t limit,
                     struct store_events *ret_events, bool *ret_more,
                     struct store_event_place *ret_next, struct error *err);

/* The place behind all that happened before now. */
int store_event_now(struct db_pool *pool, struct store_event_place *ret_place, struct error *err);

/*
 * The oldest behind *inout_place, at most `limit`; moves the place behind what was looked at.
 * *ret_more: there is more to look at right away. The caller frees them. `since_usec` and
 * `until_usec` of the filter must be 0.
 */
int store_event_follow(struct db_pool *pool, const struct db_scope *scope,
                       const struct store_event_filter *filter,
                       struct store_event_place *inout_place, uint32_t limit,
                       struct store_events *ret_events, bool *ret_more, struct error *err);

#endif
