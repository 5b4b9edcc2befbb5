/* What changes in a folder, as a stream of events. */
#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/v1_files.h"
#include "server/services/watches.h"
#include "server/stream/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MEDIA "text/event-stream"

static const char heartbeat[] = ": heartbeat\n\n";

struct query {
    const char *path;
    const char *user;
    bool recursive;
};

static const struct json_field query_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = FILES_PATH_SIZE - 1,
     .offset = offsetof(struct query, path),
     .about = "Of a folder: absolute, or from /sandbox on, which it is when it is not given."},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = V1_FILE_USER_MAX,
     .offset = offsetof(struct query, user),
     .about = "Whose rights count: a name of the sandbox, or uid:gid; 'user'."},
    {.name = "recursive",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct query, recursive),
     .about = "Also what is below it, new folders included."},
};
const struct json_table v1_file_watch_query = JSON_TABLE("FileWatchQuery", query_fields);

/* --- the data of events */

struct event_shown {
    const char *path;
    const char *path_base64;
    const char *target;
    const char *target_base64;
    bool folder;
};

static const struct json_field event_fields[] = {
    V1_FILE_TEXT(struct event_shown, "path", true, false, path, "Absolute."),
    V1_FILE_TEXT(struct event_shown, "path_base64", false, true, path_base64,
                 "Its exact bytes, where it is not UTF-8."),
    V1_FILE_TEXT(struct event_shown, "target", false, true, target, "Of a move: where it is now."),
    V1_FILE_TEXT(struct event_shown, "target_base64", false, true, target_base64, NULL),
    {.name = "folder",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct event_shown, folder)},
};
static const struct json_table event_table = JSON_TABLE("FileEvent", event_fields);

struct overflow_shown {
    const char *reason;
    const char *path;
    const char *path_base64;
};

static const struct json_field overflow_fields[] = {
    {.name = "reason",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "events|folders",
     .offset = offsetof(struct overflow_shown, reason)},
    V1_FILE_TEXT(struct overflow_shown, "path", true, false, path, NULL),
    V1_FILE_TEXT(struct overflow_shown, "path_base64", false, true, path_base64, NULL),
};
static const struct json_table overflow_table = JSON_TABLE("FileOverflow", overflow_fields);

struct end_shown {
    const char *reason;
    const char *state;
};

static const struct json_field end_fields[] = {
    {.name = "reason",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "folder|sandbox",
     .offset = offsetof(struct end_shown, reason)},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .max = INT64_MAX,
     .offset = offsetof(struct end_shown, state)},
};
static const struct json_table end_table = JSON_TABLE("FileWatchEnd", end_fields);

/* A path below the folder, as it is shown: its text, and its bytes where these differ. */
struct shown_path {
    char *text;
    char *base64;
};

static void shown_path_free(struct shown_path *path)
{
    free(path->text);
    free(path->base64);
}

/* False when memory is short. */
static bool show_path(const char *folder, const char *below, struct shown_path *ret_path)
{
    _cleanup_free_ char *whole = v1_file_path(folder, below);

    return whole && output_view(whole, strlen(whole), &ret_path->text, &ret_path->base64);
}

static cJSON *overflow_view(const struct watch_part *part)
{
    _cleanup_(shown_path_free) struct shown_path path = {.text = NULL};
    struct overflow_shown shown = {.reason = part->event->is_unwatched ? "folders" : "events"};

    if (!show_path(part->folder, part->event->path, &path))
        return NULL;
    shown.path = path.text;
    shown.path_base64 = path.base64;
    return json_encode(&overflow_table, &shown);
}

static cJSON *event_view(const struct watch_part *part)
{
    const struct agent_watch_event *event = part->event;
    _cleanup_(shown_path_free) struct shown_path path = {.text = NULL};
    _cleanup_(shown_path_free) struct shown_path target = {.text = NULL};
    struct event_shown shown = {.folder = event->is_folder};

    if (!show_path(part->folder, event->path, &path) ||
        (event->target[0] != '\0' && !show_path(part->folder, event->target, &target)))
        return NULL;
    shown.path = path.text;
    shown.path_base64 = path.base64;
    shown.target = target.text;
    shown.target_base64 = target.base64;
    return json_encode(&event_table, &shown);
}

static cJSON *end_view(const struct watch_part *part)
{
    struct end_shown shown = {
        .reason = part->is_removed ? "folder" : "sandbox",
        .state = part->is_removed ? NULL : sandbox_state_name(part->state),
    };

    return json_encode(&end_table, &shown);
}

static const char *word_of(enum agent_change_kind kind)
{
    switch (kind) {
#define KIND_WORD(symbol, value, word)                                                             \
    case (symbol):                                                                                 \
        return (word);
        AGENT_CHANGE_KINDS(KIND_WORD)
#undef KIND_WORD
    default:
        return "";
    }
}

static cJSON *part_view(const struct watch_part *part)
{
    if (!part->event)
        return end_view(part);
    return part->event->kind == AGENT_CHANGE_OVERFLOW ? overflow_view(part) : event_view(part);
}

static char *format_event(const struct watch_part *part, size_t *ret_size)
{
    _cleanup_cjson_ cJSON *data = part_view(part);
    _cleanup_free_ char *json = data ? cJSON_PrintUnformatted(data) : NULL;
    char *text;
    int size;

    if (!json)
        return NULL;
    size = asprintf(&text, "event: %s\ndata: %s\n\n",
                    part->event ? word_of(part->event->kind) : "end", json);
    if (size < 0)
        return NULL;
    *ret_size = (size_t)size;
    return text;
}

int handle_v1_file_watch(struct call *call, struct error *err)
{
    struct query query = {.path = SANDBOX_FOLDER, .user = SANDBOX_USER};
    struct agent_watch_request request;
    struct call_query_storage storage;
    _cleanup_stream_ struct stream *stream = NULL;
    char path[FILES_PATH_SIZE];

    if (call_query(call, &v1_file_watch_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0)
        return -1;
    request = (struct agent_watch_request){
        .user = query.user, .path = path, .recursive = query.recursive};
    if (watches_begin(call->services, &call->caller, &call->id, &request, format_event, heartbeat,
                      &stream, err) < 0)
        return v1_file_cannot("watch", path, NULL, err);
    http_respond_stream(call->request, EVENTS_MEDIA, stream);
    return 0;
}
