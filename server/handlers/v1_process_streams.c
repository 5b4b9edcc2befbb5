/* Logs of processes, and exec: one by streams, the other in both forms. */
#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/handlers/command_rules.h"
#include "server/handlers/v1_process_request.h"
#include "server/handlers/v1_process_view.h"
#include "server/http/accept.h"
#include "server/stream/stream.h"

#include <string.h>

#define EVENTS_MEDIA "text/event-stream"
#define LINES_MEDIA  "application/x-ndjson"
#define TEXT_MEDIA   "text/plain"

static const char heartbeat[] = ": heartbeat\n\n";

struct logs_query {
    int64_t since;
    const char *stream;
    int64_t tail;
    bool follow;
};

static const struct json_field logs_fields[] = {
    {.name = "since",
     .type = JSON_TYPE_INTEGER,
     .max = INT64_C(1) << 53, /* what JSON holds exactly */
     .offset = offsetof(struct logs_query, since),
     .about = "Offset of the first byte wanted; Last-Event-ID goes before it."},
    {.name = "stream",
     .type = JSON_TYPE_STRING,
     .choices = "stdout|stderr",
     .offset = offsetof(struct logs_query, stream),
     .about = "Only this one."},
    {.name = "tail",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = ATTACH_TAIL_MAX,
     .offset = offsetof(struct logs_query, tail),
     .about = "Begin with the last so many lines."},
    {.name = "follow",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct logs_query, follow),
     .about = "Go on until the process has ended."},
};
const struct json_table v1_process_logs_query = JSON_TABLE("ProcessLogsQuery", logs_fields);

/* The form that Accept names; text when it names none. */
static const char *choose_form(const struct call *call, struct attach_options *options)
{
    const char *accept = http_request_header(call->request, "Accept");

    if (accept_chooses(accept, EVENTS_MEDIA, TEXT_MEDIA)) {
        options->format = v1_process_event;
        options->heartbeat = heartbeat;
        return EVENTS_MEDIA;
    }
    if (accept_chooses(accept, LINES_MEDIA, TEXT_MEDIA)) {
        options->format = v1_process_line;
        return LINES_MEDIA;
    }
    options->format = v1_process_bytes;
    return TEXT_MEDIA;
}

static bool wants_events(const struct call *call)
{
    return accept_chooses(http_request_header(call->request, "Accept"), EVENTS_MEDIA,
                          "application/json");
}

static int take_last_id(const struct call *call, struct logs_query *query, struct error *err)
{
    const char *last = http_request_header(call->request, "Last-Event-ID");
    uint64_t offset;

    if (!last || last[0] == '\0')
        return 0;
    if (!parse_u64(last, INT64_MAX, &offset))
        return error_set_field(err, ERR_INVALID_FIELD, "Last-Event-ID",
                               "'Last-Event-ID' must be an offset");
    query->since = (int64_t)offset;
    query->tail = 0;
    return 0;
}

static int respond_stream(struct call *call, const struct id *process,
                          const struct attach_options *options, const char *media,
                          struct error *err)
{
    _cleanup_stream_ struct stream *stream = NULL;

    if (attach_follow(call->services, &call->caller, &call->id, process, options, &stream, err) < 0)
        return -1;
    http_respond_stream(call->request, media, stream);
    return 0;
}

static int respond_logs(struct call *call, const struct id *process, bool is_main,
                        struct error *err)
{
    struct logs_query query = {.since = 0};
    struct call_query_storage storage;
    struct attach_options options = {.is_main = is_main};
    const char *media = choose_form(call, &options);

    if (call_query(call, &v1_process_logs_query, &storage, &query, err) < 0 ||
        take_last_id(call, &query, err) < 0)
        return -1;
    options.since = (uint64_t)query.since;
    options.tail = (uint32_t)query.tail;
    options.follow = query.follow;
    options.no_stdout = query.stream && strcmp(query.stream, "stderr") == 0;
    options.no_stderr = query.stream && strcmp(query.stream, "stdout") == 0;
    return respond_stream(call, process, &options, media, err);
}

int handle_v1_process_logs(struct call *call, struct error *err)
{
    return respond_logs(call, &call->ids[1], false, err);
}

int handle_v1_main_logs(struct call *call, struct error *err)
{
    return respond_logs(call, &call->id, true, err);
}

/* --- exec */

static int stdin_of(const struct v1_process_request *request, const char **ret_data,
                    size_t *ret_size, char **ret_decoded, struct error *err)
{
    const char *base64 = request->stdin_base64;

    *ret_data = request->stdin_text;
    *ret_size = request->stdin_text ? strlen(request->stdin_text) : 0;
    if (!base64)
        return 0;
    if (request->stdin_text)
        return error_set_field(err, ERR_INVALID_FIELD, "stdin_base64",
                               "'stdin_base64' is another form of 'stdin': give one");
    if (!base64_decode(base64, strlen(base64), ret_decoded, ret_size))
        return error_set_field(err, ERR_NOT_POSSIBLE, "stdin_base64",
                               "'stdin_base64' must be base64");
    *ret_data = *ret_decoded;
    return 0;
}

/* A client that was cut off and sends the request again means the same command, not another one. */
static int check_begin(const struct call *call, struct error *err)
{
    const char *last = http_request_header(call->request, "Last-Event-ID");

    if (!last || last[0] == '\0')
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, "Last-Event-ID",
                           "a command is not started with 'Last-Event-ID': go on at "
                           "processes/{id}/logs?follow=true, with the id of its 'status'");
}

/* What a command writes, from its begin to its end. */
static int respond_command(struct call *call, const struct id *process, struct error *err)
{
    const struct attach_options options = {
        .follow = true,
        .has_status = true,
        .format = v1_process_event,
        .heartbeat = heartbeat,
    };

    return respond_stream(call, process, &options, EVENTS_MEDIA, err);
}

/* Started as a process that lives on, so that a cut stream can be taken up again. */
static int exec_stream(struct call *call, struct process_spec *spec, const char *data, size_t size,
                       struct error *err)
{
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};
    const struct id *id = &info.row.id;
    int status;

    if (check_begin(call, err) < 0)
        return -1;
    spec->input = data != NULL;
    spec->log_bytes = V1_EXEC_LOG_BYTES;
    spec->log_lines = V1_EXEC_LOG_LINES;
    status = data ? processes_start_with_input(call->services, &call->caller, &call->id, spec, data,
                                               size, &info, err)
                  : processes_start(call->services, &call->caller, &call->id, spec, &info, err);
    if (status < 0)
        return -1;
    command_notice_add(call, spec->policy_notice);
    return respond_command(call, id, err);
}

static int exec_whole(struct call *call, const struct process_spec *spec, const char *data,
                      size_t size, struct error *err)
{
    _cleanup_(process_result_free) struct process_result result = {.out = NULL};

    if (processes_exec(call->services, &call->caller, &call->id, spec, data, size, &result, err) <
        0)
        return -1;
    command_notice_add(call, spec->policy_notice);
    return call_respond_json(call, 200, v1_exec_result_view(&result), err);
}

int handle_v1_exec(struct call *call, struct error *err)
{
    _cleanup_(v1_process_request_done) struct v1_process_request request = {.body = NULL};
    _cleanup_free_ char *decoded = NULL;
    const char *data;
    size_t size;

    if (v1_process_request_exec(call, &request, err) < 0 ||
        stdin_of(&request, &data, &size, &decoded, err) < 0)
        return -1;
    if (wants_events(call))
        return exec_stream(call, &request.spec, data, size, err);
    return exec_whole(call, &request.spec, data, size, err);
}

static int answer_is_gone(const struct call *call, struct error *err)
{
    char id[ID_TEXT_SIZE];

    id_format(&call->ids[1], id);
    return error_set(
        err, ERR_CONFLICT,
        "the command with this Idempotency-Key was run, but its output is not there any "
        "more: processes/%s tells how it ended",
        id);
}

int handle_v1_exec_again(struct call *call, struct error *err)
{
    if (!wants_events(call))
        return answer_is_gone(call, err);
    if (respond_command(call, &call->ids[1], err) == 0)
        return 0;
    /* What is not found is made again elsewhere; a command is not run twice. */
    return err->code == ERR_NOT_FOUND ? answer_is_gone(call, err) : -1;
}
