/* Commands of the container dialect: what they write, as events without names. */
#include "lib/base/util.h"
#include "server/handlers/command_rules.h"
#include "server/handlers/project_container_lines.h"
#include "server/handlers/project_containers.h"
#include "server/services/attach.h"
#include "server/stream/stream.h"

#include <stdio.h>
#include <string.h>

/* Some clients read text as Latin-1 where the answer does not say what it is. */
#define EVENTS_MEDIA "text/event-stream; charset=utf-8"

/* What a reader may lag behind by: its bytes count, however short the lines are. */
#define LOG_BYTES (UINT64_C(64) << 20)
enum { LOG_LINES = 16 * 1000 * 1000, COMMAND_MAX = 128 << 10, TIMEOUT_MAX_S = 24 * 3600 };

/* What a shell says of a program that a signal ended. */
enum { SIGNAL_STATUS = 128 };

struct exec_body {
    const char *command;
    int64_t timeout;
};

static const struct json_field exec_fields[] = {
    {.name = "command",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = COMMAND_MAX,
     .offset = offsetof(struct exec_body, command),
     .about = "For /bin/sh -c, in /sandbox."},
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = TIMEOUT_MAX_S,
     .offset = offsetof(struct exec_body, timeout),
     .about = "Seconds; the container's command_timeout when it is not given."},
};
const struct json_table project_container_exec_table =
    JSON_TABLE("ProjectContainerExec", exec_fields);

/* --- events */

/* The text that the shell was given: the last of its arguments. */
static void add_status(cJSON *event, const struct attach_part *part)
{
    _cleanup_cjson_ cJSON *arguments = cJSON_Parse(part->row->command_json);
    const char *command = cJSON_GetStringValue(cJSON_GetArrayItem(arguments, 2));
    _cleanup_free_ char *text = NULL;

    if (asprintf(&text, "Executing: %s", command ? command : "") < 0)
        text = NULL;
    (void)cJSON_AddStringToObject(event, "type", "status");
    (void)cJSON_AddStringToObject(event, "data", text ? text : "");
}

/* Why there is no plain exit code; NULL: there is one. */
static const char *reason_of(const struct store_process *row)
{
    if (row->timed_out)
        return "timed_out";
    if (row->signal > 0)
        return "killed";
    return row->exit_code < 0 ? "lost" : NULL;
}

static void add_exit(cJSON *event, const struct attach_part *part)
{
    const struct store_process *row = part->row;
    const char *reason = reason_of(row);

    (void)cJSON_AddStringToObject(event, "type", "exit");
    if (row->signal > 0)
        (void)cJSON_AddNumberToObject(event, "data", SIGNAL_STATUS + row->signal);
    else if (row->exit_code >= 0)
        (void)cJSON_AddNumberToObject(event, "data", row->exit_code);
    else
        (void)cJSON_AddNullToObject(event, "data");
    (void)cJSON_AddBoolToObject(event, "success", !reason && row->exit_code == 0);
    if (reason)
        (void)cJSON_AddStringToObject(event, "reason", reason);
}

static void put_event(cJSON *event, struct json_text *text)
{
    _cleanup_free_ char *json = cJSON_PrintUnformatted(event);

    text->failed |= !json;
    if (!json)
        return;
    json_text_add(text, "data: ", 6);
    json_text_add(text, json, strlen(json));
    json_text_add(text, "\n\n", 2);
}

/* Output that the reader was too slow for: to pass over it would be a lie. */
static void put_gap(uint64_t gap, struct json_text *text)
{
    _cleanup_cjson_ cJSON *event = cJSON_CreateObject();
    char message[96];

    (void)snprintf(message, sizeof(message),
                   "%llu bytes of output are lost: it was read too slowly",
                   (unsigned long long)gap);
    (void)cJSON_AddStringToObject(event, "type", "error");
    (void)cJSON_AddStringToObject(event, "data", message);
    put_event(event, text);
}

static void put_output(const struct attach_part *part, struct json_text *text)
{
    enum project_container_side side =
        part->stream == AGENT_STREAM_STDERR ? PROJECT_CONTAINER_STDERR : PROJECT_CONTAINER_STDOUT;

    if (part->gap > 0) {
        project_container_lines_end(part->user, text);
        put_gap(part->gap, text);
    }
    project_container_lines_add(part->user, side, part->bytes, part->size, text);
}

static void put_status(const struct attach_part *part, struct json_text *text)
{
    _cleanup_cjson_ cJSON *event = cJSON_CreateObject();

    add_status(event, part);
    put_event(event, text);
}

static void put_exit(const struct attach_part *part, struct json_text *text)
{
    _cleanup_cjson_ cJSON *event = cJSON_CreateObject();

    project_container_lines_end(part->user, text);
    add_exit(event, part);
    put_event(event, text);
}

/* An attach_format. */
static char *format_events(const struct attach_part *part, size_t *ret_size)
{
    struct json_text text = {.data = NULL};

    json_text_add(&text, "", 0); /* no event is not the same as no memory */
    if (part->kind == ATTACH_STATUS)
        put_status(part, &text);
    else if (part->kind == ATTACH_EXIT)
        put_exit(part, &text);
    else
        put_output(part, &text);
    if (text.failed) {
        json_text_free(&text);
        return NULL;
    }
    *ret_size = text.size;
    return text.data;
}

static void release_lines(void *user)
{
    project_container_lines_free(user);
}

/* --- the command */

static int start(struct call *call, const struct container_record *record,
                 const struct exec_body *body, char *notice, struct process_info *ret_info,
                 struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", body->command, NULL};
    _cleanup_cjson_ cJSON *arguments = cJSON_CreateStringArray(argv, 3);
    _cleanup_free_ char *command_json = cJSON_PrintUnformatted(arguments);
    const struct process_spec spec = {
        .argv = argv,
        .command_json = command_json,
        .timeout_ms = (body->timeout ? (uint32_t)body->timeout : record->command_timeout_s) * 1000,
        .log_bytes = LOG_BYTES,
        .log_lines = LOG_LINES,
        .policy_notice = notice,
    };

    if (!command_json)
        return error_no_memory(err);
    return processes_start(call->services, &call->caller, &record->id, &spec, ret_info, err);
}

static int follow(struct call *call, const struct id *sandbox, const struct id *process,
                  struct error *err)
{
    const struct attach_options options = {
        .follow = true,
        .has_status = true,
        .format = format_events,
        .heartbeat = ": heartbeat\n\n",
        .user = project_container_lines_new(),
        .release = release_lines,
    };
    _cleanup_stream_ struct stream *stream = NULL;

    if (!options.user)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    if (attach_follow(call->services, &call->caller, sandbox, process, &options, &stream, err) < 0)
        return -1;
    http_respond_stream(call->request, EVENTS_MEDIA, stream);
    return 0;
}

int handle_project_container_exec(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};
    _cleanup_cjson_ cJSON *json = NULL;
    char notice[COMMAND_NOTICE_SIZE] = "";
    struct exec_body body = {.timeout = 0};

    if (call_body(call, &project_container_exec_table, &json, &body, err) < 0 ||
        project_container_of(call, &record, err) < 0 ||
        start(call, &record, &body, notice, &info, err) < 0)
        return -1;
    command_notice_add(call, notice);
    return follow(call, &record.id, &info.row.id, err);
}

int handle_project_container_exec_again(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    if (project_container_of(call, &record, err) == 0 &&
        follow(call, &record.id, &call->ids[0], err) == 0)
        return 0;
    /* What is not found is made again elsewhere; a command is not run twice. */
    return err->code == ERR_NOT_FOUND
               ? error_set(err, ERR_CONFLICT,
                           "the command with this Idempotency-Key was run, but its output is not "
                           "there any more")
               : -1;
}
