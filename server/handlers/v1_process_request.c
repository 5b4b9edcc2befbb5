#include "server/handlers/v1_process_request.h"

#include "lib/base/util.h"
#include "server/handlers/schemas.h"
#include "server/handlers/v1_sandbox_values.h"
#include "server/services/environment.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

enum {
    TIMEOUT_MAX_S = 24 * 3600,
    ENVIRONMENT_MAX = 256,
    CWD_MAX = 4095,
    USER_MAX = 63,
    STDIN_MAX = 8 << 20,
    LOG_LINES_MAX = 1000 * 1000,
    ROWS_DEFAULT = 24,
    COLUMNS_DEFAULT = 80,
};

struct pty_body {
    int64_t rows;
    int64_t columns;
};

static const struct json_field pty_fields[] = {
    {.name = "rows",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = PROCESS_TERMINAL_SIDE_MAX,
     .offset = offsetof(struct pty_body, rows),
     .about = "24 when it is not given."},
    {.name = "cols",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = PROCESS_TERMINAL_SIDE_MAX,
     .offset = offsetof(struct pty_body, columns),
     .about = "80 when it is not given."},
};
static const struct json_table pty_table = JSON_TABLE("ProcessTerminal", pty_fields);

struct command_body {
    const cJSON *command;
    const char *cwd;
    const cJSON *environment;
    const cJSON *env;
    const char *user;
    double timeout;
    const char *tag;
    bool input;
    const cJSON *pty;
    int64_t log_lines;
    int64_t log_bytes;
    const char *stdin_text;
    const char *stdin_base64;
};

/* A side of a terminal, of PROCESS_TERMINAL_SIDE_MAX at most; null is not given. */
#define SCHEMA_SIDE "{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":10000}"

#define COMMAND_FIELDS                                                                             \
    {.name = "command",                                                                            \
     .type = JSON_TYPE_ANY,                                                                        \
     .required = true,                                                                             \
     .offset = offsetof(struct command_body, command),                                             \
     .schema = SCHEMA_COMMAND,                                                                     \
     .about = "A text for /bin/sh -c, or an array of arguments."},                                 \
        {.name = "cwd",                                                                            \
         .type = JSON_TYPE_STRING,                                                                 \
         .min = 1,                                                                                 \
         .max = CWD_MAX,                                                                           \
         .offset = offsetof(struct command_body, cwd),                                             \
         .schema = "{\"pattern\":\"^/\"}",                                                         \
         .about = "An absolute path; /sandbox when it is not given."},                             \
        {.name = "environment",                                                                    \
         .type = JSON_TYPE_MAP,                                                                    \
         .max = ENVIRONMENT_MAX,                                                                   \
         .offset = offsetof(struct command_body, environment),                                     \
         .schema = SCHEMA_VARIABLES,                                                               \
         .about = "Variables over those of the sandbox."},                                         \
        {.name = "env",                                                                            \
         .type = JSON_TYPE_MAP,                                                                    \
         .max = ENVIRONMENT_MAX,                                                                   \
         .offset = offsetof(struct command_body, env),                                             \
         .schema = SCHEMA_VARIABLES,                                                               \
         .about = "Another name for environment."},                                                \
        {.name = "user",                                                                           \
         .type = JSON_TYPE_STRING,                                                                 \
         .schema = SCHEMA_USER,                                                                    \
         .min = 1,                                                                                 \
         .max = USER_MAX,                                                                          \
         .offset = offsetof(struct command_body, user),                                            \
         .about = "A name inside the sandbox, or uid:gid; user when it is not given."},            \
        {.name = "timeout",                                                                        \
         .type = JSON_TYPE_NUMBER,                                                                 \
         .min = 0,                                                                                 \
         .max = TIMEOUT_MAX_S,                                                                     \
         .offset = offsetof(struct command_body, timeout),                                         \
         .schema = "{\"not\":{\"type\":\"number\",\"exclusiveMinimum\":0,"                         \
                   "\"exclusiveMaximum\":0.001}}",                                                 \
         .about = "Seconds, at least 0.001, after which all of it is killed."},                    \
    {                                                                                              \
        .name = "tag", .type = JSON_TYPE_STRING, .min = 1, .max = PROCESS_TAG_MAX,                 \
        .offset = offsetof(struct command_body, tag), .about = "A word to find it by."             \
    }

static const struct json_field start_fields[] = {
    COMMAND_FIELDS,
    {.name = "stdin",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct command_body, input),
     .about = "It reads what is sent to …/stdin; nothing when it is false."},
    {.name = "pty",
     .type = JSON_TYPE_OBJECT,
     .max = 2,
     .offset = offsetof(struct command_body, pty),
     .schema = "{\"additionalProperties\":false,\"properties\":{\"rows\":" SCHEMA_SIDE
               ",\"cols\":" SCHEMA_SIDE "}}",
     .about = "It gets a terminal of so many rows and cols."},
    {.name = "log_lines",
     .type = JSON_TYPE_INTEGER,
     .min = 2,
     .max = LOG_LINES_MAX,
     .offset = offsetof(struct command_body, log_lines),
     .about = "At least half of so many last lines are kept; 10000."},
    {.name = "log_bytes",
     .type = JSON_TYPE_INTEGER,
     .min = AGENT_LOG_BYTES_MIN,
     .max = AGENT_LOG_BYTES_MAX,
     .offset = offsetof(struct command_body, log_bytes),
     .about = "The same for bytes, as they are on disk; 16 MiB."},
};
const struct json_table v1_process_start_table =
    JSON_TABLE_WITH("ProcessStart", start_fields, SCHEMA_NOT_BOTH("environment", "env"));

static const struct json_field exec_fields[] = {
    COMMAND_FIELDS,
    {.name = "stdin",
     .type = JSON_TYPE_STRING,
     .max = STDIN_MAX,
     .offset = offsetof(struct command_body, stdin_text),
     .about = "What it reads; nothing when it is not given."},
    {.name = "stdin_base64",
     .type = JSON_TYPE_STRING,
     .max = STDIN_MAX,
     .offset = offsetof(struct command_body, stdin_base64),
     .about = "The same for any bytes."},
};
const struct json_table v1_exec_table =
    JSON_TABLE_WITH("Exec", exec_fields,
                    "{\"allOf\":[" SCHEMA_NOT_BOTH("environment", "env") "," SCHEMA_NOT_BOTH(
                        "stdin", "stdin_base64") "]}");

void v1_process_request_done(struct v1_process_request *request)
{
    cJSON_Delete(request->body);
    cJSON_Delete(request->arguments);
    free(request->argv);
    free(request->command_json);
}

static int check_command(const struct command_body *body, struct error *err)
{
    if (body->cwd && body->cwd[0] != '/')
        return error_set_field(err, ERR_INVALID_FIELD, "cwd", "'cwd' must be an absolute path");
    if (body->timeout < 0 || (body->timeout > 0 && body->timeout < 0.001))
        return error_set_field(err, ERR_INVALID_FIELD, "timeout",
                               "'timeout' must be 0.001 to %d seconds", TIMEOUT_MAX_S);
    return 0;
}

/* The variables, under either of their names. */
static int take_environment(const struct command_body *body, struct process_spec *spec,
                            struct error *err)
{
    const char *field = body->env ? "env" : "environment";

    if (body->env && body->environment)
        return error_set_field(err, ERR_INVALID_FIELD, "env",
                               "'env' is another name for 'environment': give one");
    spec->environment = body->env ? body->env : body->environment;
    return spec->environment ? environment_check(spec->environment, field, false, err) : 0;
}

/* The arguments as the agent and the database take them. */
static int take_arguments(const cJSON *command, struct v1_process_request *request,
                          struct error *err)
{
    const cJSON *entry;
    size_t count = 0;

    if (v1_value_arguments(command, "command", &request->command_json, err) < 0)
        return -1;
    if (!request->command_json)
        return error_set_field(err, ERR_INVALID_FIELD, "command", "'command' must not be empty");
    request->arguments = cJSON_Parse(request->command_json);
    request->argv =
        calloc((size_t)cJSON_GetArraySize(request->arguments) + 1, sizeof(*request->argv));
    if (!request->arguments || !request->argv)
        return error_no_memory(err);
    cJSON_ArrayForEach(entry, request->arguments)
    {
        request->argv[count++] = entry->valuestring;
    }
    return 0;
}

static int take_terminal(const cJSON *pty, struct process_spec *spec, struct error *err)
{
    struct pty_body body = {.rows = ROWS_DEFAULT, .columns = COLUMNS_DEFAULT};

    if (!pty)
        return 0;
    if (json_decode(pty, pty_table.fields, pty_table.count, "pty", &body, err) < 0)
        return -1;
    spec->terminal = true;
    spec->rows = (uint16_t)body.rows;
    spec->columns = (uint16_t)body.columns;
    return 0;
}

static int take_body(const struct json_table *table, struct v1_process_request *request,
                     struct error *err)
{
    struct command_body body = {.timeout = 0};

    if (json_decode(request->body, table->fields, table->count, "", &body, err) < 0 ||
        check_command(&body, err) < 0 || take_arguments(body.command, request, err) < 0)
        return -1;
    request->spec = (struct process_spec){
        .argv = request->argv,
        .command_json = request->command_json,
        .cwd = body.cwd,
        .user = body.user,
        .timeout_ms = (uint32_t)(body.timeout * 1000),
        .tag = body.tag,
        .input = body.input,
        .log_lines = (uint32_t)body.log_lines,
        .log_bytes = (uint64_t)body.log_bytes,
    };
    request->stdin_text = body.stdin_text;
    request->stdin_base64 = body.stdin_base64;
    if (take_environment(&body, &request->spec, err) < 0)
        return -1;
    return take_terminal(body.pty, &request->spec, err);
}

static int decode_json(cJSON *body, const struct json_table *table,
                       struct v1_process_request *ret_request, struct error *err)
{
    struct v1_process_request request = {.body = body};

    if (take_body(table, &request, err) < 0) {
        v1_process_request_done(&request);
        return -1;
    }
    *ret_request = request;
    ret_request->spec.policy_notice = ret_request->policy_notice;
    return 0;
}

static int decode(struct call *call, const struct json_table *table,
                  struct v1_process_request *ret_request, struct error *err)
{
    cJSON *body;

    if (call_json_body(call, false, &body, err) < 0)
        return -1;
    return decode_json(body, table, ret_request, err);
}

int v1_process_request_of(cJSON *body, struct v1_process_request *ret_request, struct error *err)
{
    return decode_json(body, &v1_process_start_table, ret_request, err);
}

int v1_process_request_start(struct call *call, struct v1_process_request *ret_request,
                             struct error *err)
{
    return decode(call, &v1_process_start_table, ret_request, err);
}

int v1_process_request_exec(struct call *call, struct v1_process_request *ret_request,
                            struct error *err)
{
    return decode(call, &v1_exec_table, ret_request, err);
}

static int signal_of_name(const char *name)
{
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int signum = 1; signum <= AGENT_SIGNAL_MAX; signum++) {
        const char *known = sigabbrev_np(signum);

        if (known && strcasecmp(known, name) == 0)
            return signum;
    }
    return 0;
}

int v1_process_request_signal(const cJSON *value, int *ret_signal, struct error *err)
{
    int signum = 0;

    if (!value)
        return error_set_field(err, ERR_MISSING_FIELD, "signal", "the field 'signal' is required");
    if (cJSON_IsString(value))
        signum = signal_of_name(value->valuestring);
    else if (cJSON_IsNumber(value) && value->valuedouble == value->valueint)
        signum = value->valueint;
    if (signum < 1 || signum > AGENT_SIGNAL_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "signal",
                               "'signal' must be the name of a signal, as TERM, or 1 to %d",
                               AGENT_SIGNAL_MAX);
    *ret_signal = signum;
    return 0;
}
