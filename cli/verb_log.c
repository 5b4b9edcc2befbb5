/* atoll events, usage. */
#include "cli/api.h"
#include "cli/following.h"
#include "cli/list.h"
#include "cli/plain.h"
#include "cli/query.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <errno.h>
#include <time.h>

static const struct column event_columns[] = {
    {"AT", "at", COLUMN_TEXT},
    {"KIND", "kind", COLUMN_TEXT},
    {"SANDBOX", "sandbox_id", COLUMN_TEXT},
    {"FROM", "from_state", COLUMN_TEXT},
    {"TO", "to_state", COLUMN_TEXT},
    {"ACTOR", "actor", COLUMN_TEXT},
    {"DETAIL", "detail", COLUMN_TEXT},
};

static const struct column usage_columns[] = {
    {"DAY", "day", COLUMN_TEXT},
    {"PROJECT", "project_id", COLUMN_TEXT},
    {"RUNS", "runs", COLUMN_TEXT},
    {"SANDBOX SECONDS", "sandbox_seconds", COLUMN_TEXT},
    {"CPU SECONDS", "cpu_seconds", COLUMN_TEXT},
    {"MEMORY MB SECONDS", "memory_mb_seconds", COLUMN_TEXT},
};

/* Events that are followed. */
struct events {
    const char *path;
    char last[64]; /* the id of the one that came last, or was the last before we followed */
    bool as_json;
    bool has_limit;
    uint64_t left;   /* that may still come, where there is a limit */
    int write_error; /* errno; 0: none */
};

static bool has_ended(const void *user)
{
    const struct events *events = user;

    return events->write_error != 0 || (events->has_limit && events->left == 0);
}

/* One event of a stream, on a line of its own. */
static bool print_event(const struct api_event *event, void *user)
{
    struct events *events = user;
    _cleanup_cjson_ cJSON *shown = cJSON_Parse(event->data);

    (void)snprintf(events->last, sizeof(events->last), "%s", event->id);
    if (events->as_json)
        plain_json(stdout, event->data);
    else if (shown)
        table_print_row(stdout, shown, event_columns, ARRAY_SIZE(event_columns));
    if (fflush(stdout) != 0)
        events->write_error = errno;
    events->left--;
    return !has_ended(events);
}

static char *rest_path(const void *user)
{
    const struct events *events = user;
    const struct parameter parameter = {"after", events->last};
    char *path;

    return query_make(events->path, &parameter, 1, &path, NULL) == 0 ? path : NULL;
}

/*
 * Where the log ends now: a stream that is cut before its first event goes on from here. A page
 * without an event of the caller's says how far back it looked; "0-0" is the log's begin.
 */
static int find_end(struct api *api, struct events *events, struct error *err)
{
    _cleanup_cjson_ cJSON *page = NULL;
    const char *place;

    if (api_get(api, "/v1/events?limit=1", &page, err) < 0)
        return -1;
    place = cJSON_GetStringValue(
        table_member(cJSON_GetArrayItem(table_member(page, "items"), 0), "id"));
    if (!place)
        place = cJSON_GetStringValue(table_member(page, "next_cursor"));
    (void)snprintf(events->last, sizeof(events->last), "%s", place ? place : "0-0");
    return 0;
}

/* `limit` NULL: until Ctrl-C. */
static int follow_events(struct api *api, const char *path, const uint64_t *limit,
                         struct error *err)
{
    struct events events = {
        .path = path,
        .as_json = api_json(api),
        .has_limit = limit,
        .left = limit ? *limit : 0,
    };
    const struct following following = {
        .method = "GET",
        .path = path,
        .take = print_event,
        .rest = rest_path,
        .has_ended = has_ended,
        .user = &events,
    };
    int result;

    if (find_end(api, &events, err) < 0)
        return -1;
    result = following_run(api, &following, err);
    return events.write_error != 0
               ? error_set_errno(err, events.write_error, "cannot write what happens")
               : result;
}

int verb_events(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    const struct parameter parameters[] = {
        {"sandbox_id", argument_value(arguments, "--sandbox")},
        {"kind", argument_value(arguments, "--kind")},
        {"since", argument_value(arguments, "--since")},
        {"until", argument_value(arguments, "--until")},
    };
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct list list = {.columns = event_columns, .column_count = ARRAY_SIZE(event_columns)};

    if (list_limit(arguments, &list.limit, err) < 0 ||
        query_make("/v1/events", parameters, ARRAY_SIZE(parameters), &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    if (argument_value(arguments, "--follow"))
        return follow_events(api, path, argument_value(arguments, "--limit") ? &list.limit : NULL,
                             err);
    list.path = path;
    return list_print(api, &list, err);
}

int verb_usage(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    const struct parameter parameters[] = {
        {"from", argument_value(arguments, "--from")},
        {"to", argument_value(arguments, "--to")},
        {"project_id", argument_value(arguments, "--project")},
    };
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *answer = NULL;
    _cleanup_free_ char *path = NULL;

    if (query_make("/v1/usage", parameters, ARRAY_SIZE(parameters), &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0 ||
        api_call(api, "GET", path, NULL, &answer, err) < 0)
        return -1;
    if (!api_json(api))
        table_print(stdout, table_member(answer, "items"), usage_columns, ARRAY_SIZE(usage_columns),
                    (int64_t)time(NULL) * 1000000);
    return CLI_OK;
}
