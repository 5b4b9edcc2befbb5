#include "server/handlers/v1_events.h"

#include "lib/base/util.h"
#include "server/handlers/page.h"
#include "server/http/accept.h"
#include "server/services/events.h"
#include "server/stream/stream.h"

#include <inttypes.h>
#include <string.h>

enum {
    PLACE_SIZE = 48, /* "<tx>-<id>" */
    KIND_MAX = 64,
};

#define STREAM_MEDIA_TYPE "text/event-stream"
#define PLACE_SCHEMA      "{\"pattern\":\"^[0-9]{1,18}-[0-9]{1,18}$\"}"

/* --- what comes */

struct event_query {
    struct id sandbox;
    const char *kind;
    int64_t since_usec;
    int64_t until_usec;
    int64_t limit;
    const char *cursor;
    const char *after;
};

static const struct json_field query_fields[] = {
    {.name = "sandbox_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct event_query, sandbox),
     .about = "Only events of this sandbox."},
    {.name = "kind",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = KIND_MAX,
     .offset = offsetof(struct event_query, kind),
     .about = "Only kinds that begin so: `sandbox.` (or `sandbox.*`), `run.ended`."},
    {.name = "since",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct event_query, since_usec),
     .about = "Pages only: not before this time."},
    {.name = "until",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct event_query, until_usec),
     .about = "Pages only: before this time."},
    {.name = "limit",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = PAGE_LIMIT_MAX,
     .offset = offsetof(struct event_query, limit),
     .about = "Pages only: the most items to answer with; 50 unless said."},
    {.name = "cursor",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = PLACE_SIZE - 1,
     .offset = offsetof(struct event_query, cursor),
     .schema = PLACE_SCHEMA,
     .about = "Pages only: the next_cursor of the page before."},
    {.name = "after",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = PLACE_SIZE - 1,
     .offset = offsetof(struct event_query, after),
     .schema = PLACE_SCHEMA,
     .about = "Streams only: the id of the last event seen, as Last-Event-ID."},
};

const struct json_table event_query_table = JSON_TABLE("EventQuery", query_fields);

/* --- what goes */

struct event_view {
    const char *id;
    int64_t at_usec;
    const char *kind;
    struct id project;
    struct id sandbox;
    const char *from_state;
    const char *to_state;
    const char *actor;
    const char *request_id;
    cJSON *detail;
};

static const struct json_field event_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = PLACE_SIZE - 1,
     .offset = offsetof(struct event_view, id),
     .about = "Its place in the log."},
    {.name = "at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct event_view, at_usec)},
    {.name = "kind",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = KIND_MAX,
     .offset = offsetof(struct event_view, kind)},
    {.name = "project_id", .type = JSON_TYPE_ID, .offset = offsetof(struct event_view, project)},
    {.name = "sandbox_id", .type = JSON_TYPE_ID, .offset = offsetof(struct event_view, sandbox)},
    {.name = "from_state",
     .type = JSON_TYPE_STRING,
     .max = KIND_MAX,
     .offset = offsetof(struct event_view, from_state)},
    {.name = "to_state",
     .type = JSON_TYPE_STRING,
     .max = KIND_MAX,
     .offset = offsetof(struct event_view, to_state)},
    {.name = "actor",
     .type = JSON_TYPE_STRING,
     .max = 255,
     .offset = offsetof(struct event_view, actor),
     .about = "The subject of the caller's token, or the program that acted by itself."},
    {.name = "request_id",
     .type = JSON_TYPE_STRING,
     .max = 64,
     .offset = offsetof(struct event_view, request_id),
     .about = "X-Request-Id of the request that caused it."},
    {.name = "detail",
     .type = JSON_TYPE_OBJECT,
     .max = 64,
     .offset = offsetof(struct event_view, detail),
     .about = "What else there is to say, by kind."},
};

const struct json_table event_table = JSON_TABLE("Event", event_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(event_table)};

const struct json_table event_page_table = JSON_TABLE("EventPage", page_fields);

static void format_place(const struct store_event_place *place, char text[static PLACE_SIZE])
{
    (void)snprintf(text, PLACE_SIZE, "%" PRIu64 "-%" PRId64, place->tx, place->id);
}

static bool parse_place(const char *text, struct store_event_place *ret_place)
{
    char tx[PLACE_SIZE];
    const char *dash = strchr(text, '-');
    uint64_t id;

    if (!dash || (size_t)(dash - text) >= sizeof(tx))
        return false;
    memcpy(tx, text, (size_t)(dash - text));
    tx[dash - text] = '\0';
    if (!parse_u64(tx, INT64_MAX, &ret_place->tx) || !parse_u64(dash + 1, INT64_MAX, &id))
        return false;
    ret_place->id = (int64_t)id;
    return true;
}

static cJSON *view(const struct store_event *event)
{
    char id[PLACE_SIZE];
    struct event_view view = {
        .id = id,
        .at_usec = event->at_usec,
        .kind = event->kind,
        .project = event->project,
        .sandbox = event->sandbox,
        .from_state = event->from_state,
        .to_state = event->to_state,
        .actor = event->actor,
        .request_id = event->request_id,
        .detail = event->detail_json ? cJSON_Parse(event->detail_json) : NULL,
    };

    format_place(&event->place, id);
    return json_encode(&event_table, &view);
}

/* One message of the HTML standard's server-sent events, section 9.2.6. */
static char *format_message(const struct store_event *event)
{
    _cleanup_cjson_ cJSON *object = view(event);
    _cleanup_free_ char *data = object ? cJSON_PrintUnformatted(object) : NULL;
    char id[PLACE_SIZE];
    char *message = NULL;

    format_place(&event->place, id);
    if (data && asprintf(&message, "id: %s\nevent: %s\ndata: %s\n\n", id, event->kind, data) < 0)
        return NULL;
    return message;
}

static int bad_place(const char *field, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must be the id of an event", field);
}

/* `next` NULL: this is the last page. */
static int respond_page(struct call *call, const struct store_events *events,
                        const struct store_event_place *next, struct error *err)
{
    cJSON *items = cJSON_CreateArray();
    char cursor[PLACE_SIZE];

    for (size_t i = 0; i < events->count; i++)
        json_append(&items, view(&events->items[i]));
    if (next)
        format_place(next, cursor);
    return page_respond_by_name(call, &event_page_table, items, next ? cursor : NULL, err);
}

static int list(struct call *call, const struct event_query *query,
                const struct store_event_filter *filter, struct error *err)
{
    _cleanup_(store_events_free) struct store_events events = {.owner = NULL};
    struct store_event_place before, next;
    bool more;

    if (query->after)
        return error_set_field(err, ERR_NOT_POSSIBLE, "after", "'after' is for streams");
    if (query->cursor && !parse_place(query->cursor, &before))
        return error_set_field(err, ERR_INVALID_FIELD, "cursor",
                               "'cursor' must be a next_cursor of an earlier page");
    if (events_list(call->services, &call->caller, filter, query->cursor ? &before : NULL,
                    (uint32_t)query->limit, &events, &more, &next, err) < 0)
        return -1;
    return respond_page(call, &events, more ? &next : NULL, err);
}

/* Where a stream goes on: 1 when the client says so. Last-Event-ID is what a browser sends when it
 * connects again, so it goes before the address that it connected to first. */
static int start_place(struct call *call, const struct event_query *query,
                       struct store_event_place *ret_place, struct error *err)
{
    const char *last = http_request_header(call->request, "Last-Event-ID");

    if (last && last[0] != '\0')
        return parse_place(last, ret_place) ? 1 : bad_place("Last-Event-ID", err);
    if (query->after)
        return parse_place(query->after, ret_place) ? 1 : bad_place("after", err);
    return 0;
}

static int follow(struct call *call, const struct event_query *query,
                  const struct store_event_filter *filter, struct error *err)
{
    _cleanup_stream_ struct stream *stream = NULL;
    struct store_event_place after;
    int has_after;

    if (query->since_usec || query->until_usec || query->cursor || query->limit)
        return error_set_field(err, ERR_NOT_POSSIBLE, "query",
                               "'since', 'until', 'limit' and 'cursor' are for pages");
    has_after = start_place(call, query, &after, err);
    if (has_after < 0 || events_follow(call->services, &call->caller, filter,
                                       has_after ? &after : NULL, format_message, &stream, err) < 0)
        return -1;
    http_respond_stream(call->request, STREAM_MEDIA_TYPE, stream);
    return 0;
}

/* "sandbox.*", as webhooks write it, is "sandbox.". */
static const char *kind_begin(const char *kind, char begin[static KIND_MAX + 1])
{
    size_t length = kind ? strlen(kind) : 0;

    if (length < 2 || strcmp(kind + length - 2, ".*") != 0)
        return kind;
    (void)snprintf(begin, KIND_MAX + 1, "%.*s", (int)(length - 1), kind);
    return begin;
}

static bool wants_stream(const struct call *call)
{
    const char *accept = http_request_header(call->request, "Accept");

    return accept_chooses(accept, STREAM_MEDIA_TYPE, "application/json");
}

int handle_event_list(struct call *call, struct error *err)
{
    struct call_query_storage storage;
    struct event_query query = {.limit = 0};
    struct store_event_filter filter;
    char kind[KIND_MAX + 1];

    if (call_query(call, &event_query_table, &storage, &query, err) < 0)
        return -1;
    filter = (struct store_event_filter){
        .sandbox = id_or_null(&query.sandbox),
        .kind = kind_begin(query.kind, kind),
        .since_usec = query.since_usec,
        .until_usec = query.until_usec,
    };
    if (wants_stream(call))
        return follow(call, &query, &filter, err);
    query.limit = query.limit ? query.limit : PAGE_LIMIT_DEFAULT;
    return list(call, &query, &filter, err);
}
