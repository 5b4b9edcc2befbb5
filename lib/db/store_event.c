#include "lib/db/store_event.h"

#include "lib/db/transaction.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* An xid8 has no binary cast to bigint, but 63 bits are enough: a thousand transactions a second
 * reach them in 292 million years. */
#define EVENT_COLUMNS                                                                              \
    "e.tx::text::bigint, e.id, e.at, e.project_id, e.sandbox_id, e.kind, e.from_state,"            \
    " e.to_state, e.actor, e.request_id, e.detail::text"

enum event_column {
    EVENT_TX,
    EVENT_ID,
    EVENT_AT,
    EVENT_PROJECT,
    EVENT_SANDBOX,
    EVENT_KIND,
    EVENT_FROM_STATE,
    EVENT_TO_STATE,
    EVENT_ACTOR,
    EVENT_REQUEST_ID,
    EVENT_DETAIL,
    EVENT_REACHED_TX, /* where the look ended; NULL when there was nothing more to look at */
    EVENT_REACHED_ID,
};

#define PLACE "($2::bigint::text::xid8, $3::bigint)"
#define SINCE "('epoch'::timestamptz + $6::bigint * interval '1 microsecond')"
#define UNTIL "('epoch'::timestamptz + $7::bigint * interval '1 microsecond')"

/*
 * A look at a tenant's log is bounded by how many events it looks at, wanted or not. One at a
 * sandbox's log is not: that is bounded by what one sandbox does.
 */
#define REACH_BACK                                                                                 \
    "atoll_events_reach($1::uuid, $2::bigint::text::xid8, $3::bigint, $8::bigint, true) reached"
#define REACH_ON                                                                                   \
    "atoll_events_reach($1::uuid, $2::bigint::text::xid8, $3::bigint, $6::bigint, false) reached"
#define ALL_BACK "(VALUES ('0'::xid8, 0::bigint, NULL::timestamptz)) reached (tx, id, at)"
#define ALL_ON                                                                                     \
    "(VALUES ('18446744073709551615'::xid8, 9223372036854775807, NULL::timestamptz))"              \
    " reached (tx, id, at)"

/*
 * $1 the tenant, $2 transaction and $3 id of the place, $4 limit, $5 kind, $6 since, $7 until. The
 * log is in the order of transactions' first writes, `at` the time of their begins. No call lasts
 * as long as a minute (docs/database.md): before what is a minute too old, all is too old.
 */
#define LIST_STATEMENT(reach, whose)                                                               \
    "SELECT " EVENT_COLUMNS ", CASE WHEN reached.at >= " SINCE " - interval '1 minute'"            \
    " THEN reached.tx::text::bigint END, reached.id FROM " reach                                   \
    " LEFT JOIN LATERAL (SELECT * FROM events WHERE tenant_id = $1::uuid" whose                    \
    " AND (tx, id) < " PLACE " AND (tx, id) >= (reached.tx, reached.id)"                           \
    " AND ($5::text IS NULL OR starts_with(kind, $5::text))"                                       \
    " AND ($6::bigint = 0 OR at >= " SINCE ") AND ($7::bigint = 0 OR at < " UNTIL ")"              \
    " ORDER BY tx DESC, id DESC LIMIT $4::bigint) e ON true ORDER BY e.tx DESC, e.id DESC"

/* Two statements, because each has an index of its own. */
static const struct db_statement list_statement = {"event_list", LIST_STATEMENT(REACH_BACK, "")};
static const struct db_statement list_sandbox_statement = {
    "event_list_sandbox", LIST_STATEMENT(ALL_BACK, " AND sandbox_id = $8::uuid")};

static const struct db_statement now_statement = {"event_now",
                                                  "SELECT atoll_events_horizon()::text::bigint"};

/* The same, without times and oldest first. */
#define FOLLOW_STATEMENT(reach, whose)                                                             \
    "SELECT " EVENT_COLUMNS                                                                        \
    ", CASE WHEN reached.at IS NOT NULL THEN reached.tx::text::bigint END,"                        \
    " reached.id FROM " reach                                                                      \
    " LEFT JOIN LATERAL (SELECT * FROM events WHERE tenant_id = $1::uuid" whose                    \
    " AND (tx, id) > " PLACE " AND (tx, id) <= (reached.tx, reached.id)"                           \
    " AND tx < atoll_events_horizon()"                                                             \
    " AND ($5::text IS NULL OR starts_with(kind, $5::text))"                                       \
    " ORDER BY tx, id LIMIT $4::bigint) e ON true ORDER BY e.tx, e.id"

static const struct db_statement follow_statement = {"event_follow",
                                                     FOLLOW_STATEMENT(REACH_ON, "")};
static const struct db_statement follow_sandbox_statement = {
    "event_follow_sandbox", FOLLOW_STATEMENT(ALL_ON, " AND sandbox_id = $6::uuid")};

void store_events_free(struct store_events *events)
{
    free(events->items);
    PQclear(events->owner);
    *events = (struct store_events){.owner = NULL};
}

static struct store_event read_event(const PGresult *result, int row)
{
    return (struct store_event){
        .place = {.tx = (uint64_t)db_get_int(result, row, EVENT_TX),
                  .id = db_get_int(result, row, EVENT_ID)},
        .at_usec = db_get_time(result, row, EVENT_AT),
        .project = db_get_uuid(result, row, EVENT_PROJECT),
        .sandbox = db_get_uuid(result, row, EVENT_SANDBOX),
        .kind = db_get_text(result, row, EVENT_KIND),
        .from_state = db_get_text(result, row, EVENT_FROM_STATE),
        .to_state = db_get_text(result, row, EVENT_TO_STATE),
        .actor = db_get_text(result, row, EVENT_ACTOR),
        .request_id = db_get_text(result, row, EVENT_REQUEST_ID),
        .detail_json = db_get_text(result, row, EVENT_DETAIL),
    };
}

/* Reads all rows of *result, which becomes the list's. A row without an event says only how far the
 * look went. */
static int take_events(PGresult **result, struct store_events *ret_events, struct error *err)
{
    size_t count = PQgetisnull(*result, 0, EVENT_ID) ? 0 : (size_t)PQntuples(*result);
    struct store_event *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot read events");
    for (size_t i = 0; i < count; i++)
        items[i] = read_event(*result, (int)i);
    *ret_events = (struct store_events){TAKE_PTR(*result), items, count};
    return 0;
}

/* False when the look came to the end of the log. */
static bool read_reached(const PGresult *result, struct store_event_place *ret_place)
{
    if (PQgetisnull(result, 0, EVENT_REACHED_TX))
        return false;
    *ret_place = (struct store_event_place){
        .tx = (uint64_t)db_get_int(result, 0, EVENT_REACHED_TX),
        .id = db_get_int(result, 0, EVENT_REACHED_ID),
    };
    return true;
}

/* How many events to look at for `limit` wanted ones. */
static struct db_param look_at(const struct db_scope *scope,
                               const struct store_event_filter *filter, uint32_t limit,
                               uint32_t most)
{
    bool wants_all =
        !filter->kind && !filter->since_usec && !filter->until_usec && !scope->has_project;

    return db_int8(wants_all ? limit : most);
}

int store_event_list(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_event_filter *filter,
                     const struct store_event_place *before, uint32_t limit,
                     struct store_events *ret_events, bool *ret_more,
                     struct store_event_place *ret_next, struct error *err)
{
    /* One more than asked for tells whether there is another page. */
    const struct db_param params[] = {
        db_uuid(&scope->tenant),
        db_int8(before ? (int64_t)before->tx : INT64_MAX),
        db_int8(before ? before->id : INT64_MAX),
        db_int8(limit + 1),
        db_text(filter->kind),
        db_int8(filter->since_usec),
        db_int8(filter->until_usec),
        filter->sandbox ? db_uuid(filter->sandbox)
                        : look_at(scope, filter, limit + 1, STORE_EVENT_PAGE_LOOK)};
    const struct db_call call = {filter->sandbox ? &list_sandbox_statement : &list_statement,
                                 params, 8};
    _cleanup_pg_result_ PGresult *result = NULL;
    struct store_event_place reached;
    bool more;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    more = read_reached(result, &reached);
    if (take_events(&result, ret_events, err) < 0)
        return -1;
    if (ret_events->count > limit) {
        ret_events->count = limit;
        reached = ret_events->items[limit - 1].place;
        more = true;
    }
    *ret_more = more;
    if (more)
        *ret_next = reached;
    return 0;
}

int store_event_now(struct db_pool *pool, struct store_event_place *ret_place, struct error *err)
{
    const struct db_call call = {&now_statement, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *ret_place = (struct store_event_place){.tx = (uint64_t)db_get_int(result, 0, 0)};
    return 0;
}

/* Behind what was looked at. True when there is more to look at right away. */
static bool move_place(const struct store_events *events, uint32_t limit, bool ended_early,
                       const struct store_event_place *reached, uint64_t horizon,
                       struct store_event_place *place)
{
    if (events->count > 0)
        *place = events->items[events->count - 1].place;
    if (events->count == limit)
        return true;
    if (ended_early && reached->tx < horizon) {
        *place = *reached;
        return true;
    }
    /* All up to the horizon was seen: what the filter leaves out need not be looked at again. */
    if (horizon > place->tx)
        *place = (struct store_event_place){.tx = horizon};
    return false;
}

int store_event_follow(struct db_pool *pool, const struct db_scope *scope,
                       const struct store_event_filter *filter,
                       struct store_event_place *inout_place, uint32_t limit,
                       struct store_events *ret_events, bool *ret_more, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_int8((int64_t)inout_place->tx),
                                      db_int8(inout_place->id),
                                      db_int8(limit),
                                      db_text(filter->kind),
                                      filter->sandbox
                                          ? db_uuid(filter->sandbox)
                                          : look_at(scope, filter, limit, STORE_EVENT_FOLLOW_LOOK)};
    /* The horizon first: what the second statement sees beyond it is seen again. */
    const struct db_call calls[] = {
        {&now_statement, NULL, 0},
        {filter->sandbox ? &follow_sandbox_statement : &follow_statement, params, 6}};
    PGresult *results[2] = {NULL};
    struct store_event_place reached = {0};
    bool ended_early;
    uint64_t horizon;
    int status;

    if (db_run(pool, scope, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    horizon = (uint64_t)db_get_int(results[0], 0, 0);
    ended_early = read_reached(results[1], &reached);
    status = take_events(&results[1], ret_events, err);
    db_results_clear(results, 2);
    if (status < 0)
        return -1;
    *ret_more = move_place(ret_events, limit, ended_early, &reached, horizon, inout_place);
    return 0;
}
