/* Exec and attach as WebSockets. */
#include "lib/base/util.h"
#include "server/handlers/schemas.h"
#include "server/handlers/v1_process_request.h"
#include "server/handlers/v1_process_view.h"
#include "server/http/upgrade.h"
#include "server/stream/stream.h"

#include <string.h>

enum {
    QUERY_TEXT_MAX = 8000, /* of one parameter, and nearly that of all */
    SECONDS_MAX = 24 * 3600,
    SIDE_MAX = 10000,
};

/* --- what the client says */

struct message {
    const char *type;
    int64_t rows;
    int64_t columns;
    const cJSON *signal;
    const char *target;
};

static const struct json_field message_fields[] = {
    {.name = "type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "resize|signal|close_stdin",
     .offset = offsetof(struct message, type)},
    {.name = "rows",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SIDE_MAX,
     .offset = offsetof(struct message, rows)},
    {.name = "cols",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SIDE_MAX,
     .offset = offsetof(struct message, columns)},
    {.name = "signal", .type = JSON_TYPE_ANY, .offset = offsetof(struct message, signal)},
    {.name = "target",
     .type = JSON_TYPE_STRING,
     .choices = "process|group|tree",
     .offset = offsetof(struct message, target)},
};

static int take_resize(const struct message *message, struct attach_command *ret_command,
                       struct error *err)
{
    if (message->rows == 0 || message->columns == 0)
        return error_set_field(err, ERR_MISSING_FIELD, message->rows == 0 ? "rows" : "cols",
                               "a resize needs 'rows' and 'cols'");
    *ret_command = (struct attach_command){
        .kind = ATTACH_RESIZE,
        .rows = (uint16_t)message->rows,
        .columns = (uint16_t)message->columns,
    };
    return 0;
}

static int take_signal(const struct message *message, struct attach_command *ret_command,
                       struct error *err)
{
    int signum;

    if (v1_process_request_signal(message->signal, &signum, err) < 0)
        return -1;
    *ret_command = (struct attach_command){
        .kind = ATTACH_SIGNAL,
        .signum = signum,
        .target = v1_process_signal_target(message->target),
    };
    return 0;
}

static int parse_message(const char *text, size_t size, struct attach_command *ret_command,
                         struct error *err)
{
    struct message message = {.type = NULL};
    _cleanup_cjson_ cJSON *json = NULL;

    if (json_parse(text, size, &json, err) < 0 ||
        json_decode(json, message_fields, ARRAY_SIZE(message_fields), "", &message, err) < 0)
        return -1;
    if (strcmp(message.type, "resize") == 0)
        return take_resize(&message, ret_command, err);
    if (strcmp(message.type, "signal") == 0)
        return take_signal(&message, ret_command, err);
    *ret_command = (struct attach_command){.kind = ATTACH_CLOSE_STDIN};
    return 0;
}

/* --- attach */

static int check_upgrade(struct call *call, struct error *err)
{
    const struct config *config = atomic_load(&call->services->config);

    return upgrade_check(call->request, config->server_cors_origins, err);
}

static int respond_socket(struct call *call, const struct id *process, uint64_t since,
                          uint32_t tail, struct error *err)
{
    const struct attach_options options = {
        .since = since,
        .tail = tail,
        .follow = true,
        .has_status = true,
        .format = v1_process_message,
        .is_socket = true,
        .parse = parse_message,
        .complain = v1_process_refusal,
    };
    _cleanup_stream_ struct stream *stream = NULL;

    if (attach_follow(call->services, &call->caller, &call->id, process, &options, &stream, err) <
        0)
        return -1;
    return upgrade_respond(call->request, stream, err);
}

struct attach_query {
    int64_t since;
    int64_t tail;
};

static const struct json_field attach_fields[] = {
    {.name = "since",
     .type = JSON_TYPE_INTEGER,
     .max = INT64_C(1) << 53, /* what JSON holds exactly */
     .offset = offsetof(struct attach_query, since),
     .about = "Offset of the first byte wanted: 0 begins with the oldest that is kept."},
    {.name = "tail",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = ATTACH_TAIL_MAX,
     .offset = offsetof(struct attach_query, tail),
     .about = "Begin with the last so many lines."},
};
const struct json_table v1_attach_query = JSON_TABLE("AttachQuery", attach_fields);

int handle_v1_process_attach(struct call *call, struct error *err)
{
    struct attach_query query = {.since = 0};
    struct call_query_storage storage;

    if (check_upgrade(call, err) < 0 ||
        call_query(call, &v1_attach_query, &storage, &query, err) < 0)
        return -1;
    return respond_socket(call, &call->ids[1], (uint64_t)query.since, (uint32_t)query.tail, err);
}

/* --- exec */

struct exec_query {
    const char *command;
    const char *arguments;
    const char *environment;
    const char *cwd;
    const char *user;
    const char *tag;
    int64_t timeout;
    bool has_input;
    bool has_terminal;
    int64_t rows;
    int64_t columns;
};

/* What the words of the body of POST …/processes say, with the same bounds. */
static const struct json_field exec_socket_fields[] = {
    {.name = "command",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = QUERY_TEXT_MAX,
     .offset = offsetof(struct exec_query, command),
     .about = "A text for /bin/sh -c; or:"},
    {.name = "arguments",
     .type = JSON_TYPE_STRING,
     .min = 2,
     .max = QUERY_TEXT_MAX,
     .offset = offsetof(struct exec_query, arguments),
     .about = "The arguments, as a JSON array of strings."},
    {.name = "environment",
     .type = JSON_TYPE_STRING,
     .min = 2,
     .max = QUERY_TEXT_MAX,
     .offset = offsetof(struct exec_query, environment),
     .about = "Variables over those of the sandbox, as a JSON object."},
    {.name = "cwd",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = QUERY_TEXT_MAX,
     .offset = offsetof(struct exec_query, cwd),
     .about = "An absolute path; /sandbox when it is not given."},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = 63,
     .offset = offsetof(struct exec_query, user),
     .about = "A name inside the sandbox, or uid:gid; user when it is not given."},
    {.name = "tag",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct exec_query, tag),
     .about = "A word to find it by."},
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SECONDS_MAX,
     .offset = offsetof(struct exec_query, timeout),
     .about = "Seconds after which all of it is killed."},
    {.name = "stdin",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct exec_query, has_input),
     .about = "false: it reads nothing."},
    {.name = "pty",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct exec_query, has_terminal),
     .about = "It gets a terminal."},
    {.name = "rows",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SIDE_MAX,
     .offset = offsetof(struct exec_query, rows),
     .about = "Of the terminal; 24."},
    {.name = "cols",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SIDE_MAX,
     .offset = offsetof(struct exec_query, columns),
     .about = "Of the terminal; 80."},
};
const struct json_table v1_exec_socket_query = JSON_TABLE("ExecSocketQuery", exec_socket_fields);

static int add_json(cJSON *body, const char *name, const char *parameter, const char *text,
                    struct error *err)
{
    cJSON *value;

    if (!text)
        return 0;
    if (json_parse(text, strlen(text), &value, err) < 0)
        return error_set_field(err, ERR_INVALID_FIELD, parameter, "'%s' is not JSON", parameter);
    if (cJSON_AddItemToObject(body, name, value))
        return 0;
    cJSON_Delete(value);
    return error_no_memory(err);
}

static bool add_text(cJSON *body, const char *name, const char *text)
{
    return !text || cJSON_AddStringToObject(body, name, text);
}

/* 0 is not given. */
static bool add_number(cJSON *body, const char *name, int64_t value)
{
    return value == 0 || cJSON_AddNumberToObject(body, name, (double)value);
}

static bool add_terminal(cJSON *body, const struct exec_query *query)
{
    cJSON *pty;

    if (!query->has_terminal)
        return true;
    pty = cJSON_AddObjectToObject(body, "pty");
    return pty && add_number(pty, "rows", query->rows) && add_number(pty, "cols", query->columns);
}

/* What is left out for a lack of memory would be another command. */
static bool add_rest(cJSON *body, const struct exec_query *query)
{
    return add_text(body, "command", query->command) && add_text(body, "cwd", query->cwd) &&
           add_text(body, "user", query->user) && add_text(body, "tag", query->tag) &&
           add_number(body, "timeout", query->timeout) &&
           cJSON_AddBoolToObject(body, "stdin", query->has_input) && add_terminal(body, query) &&
           add_number(body, "log_bytes", V1_EXEC_LOG_BYTES) &&
           add_number(body, "log_lines", V1_EXEC_LOG_LINES);
}

/* The same as a body of POST …/processes, whose rules then hold. */
static int body_of(const struct exec_query *query, cJSON *body, struct error *err)
{
    if (query->command && query->arguments)
        return error_set_field(err, ERR_INVALID_FIELD, "arguments",
                               "'arguments' is another form of 'command': give one");
    if (add_json(body, "command", "arguments", query->arguments, err) < 0 ||
        add_json(body, "environment", "environment", query->environment, err) < 0)
        return -1;
    return add_rest(body, query) ? 0 : error_no_memory(err);
}

static int take_command(struct call *call, struct v1_process_request *ret_request,
                        struct error *err)
{
    struct exec_query query = {.has_input = true};
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    struct call_query_storage storage;

    if (!body)
        return error_no_memory(err);
    if (call_query(call, &v1_exec_socket_query, &storage, &query, err) < 0 ||
        body_of(&query, body, err) < 0)
        return -1;
    return v1_process_request_of(TAKE_PTR(body), ret_request, err);
}

int handle_v1_exec_socket(struct call *call, struct error *err)
{
    _cleanup_(v1_process_request_done) struct v1_process_request request = {.body = NULL};
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (check_upgrade(call, err) < 0 || take_command(call, &request, err) < 0 ||
        processes_start(call->services, &call->caller, &call->id, &request.spec, &info, err) < 0)
        return -1;
    return respond_socket(call, &info.row.id, 0, 0, err);
}
