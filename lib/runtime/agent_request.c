#include "lib/runtime/agent_request.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_check.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MODE_PLAIN = 0644, MODE_EXECUTABLE = 0755, CONTROL_MAX = 2 * AGENT_PATH_MAX };

static int add_write(struct agent_outgoing *outgoing, const struct sandbox_file *file,
                     const struct agent_owner *owner, struct error *err)
{
    const struct agent_write_message message = {
        .flags = owner->privileged ? AGENT_WRITE_PRIVILEGED : 0,
        .mode = file->executable ? MODE_EXECUTABLE : MODE_PLAIN,
        .owner = owner->user,
        .path = file->path,
    };
    uint8_t payload[CONTROL_MAX];

    if (agent_check_path("path", file->path, err) < 0 || agent_check_user(owner->user, err) < 0)
        return -1;
    agent_outgoing_frame(outgoing, AGENT_FRAME_WRITE, payload,
                         agent_write_encode(&message, payload, sizeof(payload)));
    agent_outgoing_body(outgoing, file->content, file->size);
    return 0;
}

int agent_request_writes(struct agent_outgoing *outgoing, const struct sandbox_files *files,
                         const struct agent_owner *owner, struct error *err)
{
    for (size_t i = 0; i < files->count; i++) {
        if (add_write(outgoing, &files->items[i], owner, err) < 0)
            return -1;
    }
    return 0;
}

/* Counts strings up to one more than are allowed. */
static uint32_t count_strings(const char *const *strings)
{
    uint32_t count = 0;

    while (count <= AGENT_ARGS_MAX && strings[count])
        count++;
    return count;
}

static int check_strings(const char *field, const char *const *strings, struct error *err)
{
    uint32_t count = count_strings(strings);

    if (count > AGENT_ARGS_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, field, "more than %d strings",
                               AGENT_ARGS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(strings[i]) >= AGENT_STRING_MAX)
            return error_set_field(err, ERR_INVALID_FIELD, field, "a string over %d bytes",
                                   AGENT_STRING_MAX - 1);
    }
    return 0;
}

static int check_env(const char *const *env, struct error *err)
{
    if (check_strings("env", env, err) < 0)
        return -1;
    for (; *env; env++) {
        if (**env == '=' || !strchr(*env, '='))
            return error_set_field(err, ERR_INVALID_FIELD, "env", "a variable has no name");
    }
    return 0;
}

/* The message's view of what is to be run, checked. */
static int make_command(const char *const *argv, const char *const *env, const char *cwd,
                        const char *user, struct agent_command *ret_command, struct error *err)
{
    if (!argv[0] || argv[0][0] == '\0')
        return error_set_field(err, ERR_INVALID_FIELD, "argv", "there is no command");
    if (check_strings("argv", argv, err) < 0 || check_env(env, err) < 0 ||
        agent_check_path("cwd", cwd, err) < 0 || agent_check_user(user, err) < 0)
        return -1;
    *ret_command = (struct agent_command){
        .cwd = cwd,
        .user = user,
        .argc = count_strings(argv),
        .envc = count_strings(env),
        .argv = (const char **)argv,
        .env = (const char **)env,
    };
    return 0;
}

/* Memory for a request of `size` bytes; 0 is one that is too large. */
static int allocate_request(size_t size, uint8_t **ret_payload, struct error *err)
{
    if (size == 0)
        return error_set_field(err, ERR_INVALID_FIELD, "argv",
                               "arguments and environment together are over %d bytes",
                               AGENT_REQUEST_MAX);
    *ret_payload = malloc(size);
    if (!*ret_payload)
        return error_set_errno(err, ENOMEM, "cannot make the request to the sandbox's agent");
    return 0;
}

int agent_request_exec(struct agent_outgoing *outgoing, const struct agent_exec_request *request,
                       size_t after, struct error *err)
{
    struct agent_exec_message message = {
        .after = (uint32_t)after,
        .flags = (request->stdin_data ? AGENT_EXEC_STDIN : 0u) |
                 (request->kill_leftovers ? AGENT_EXEC_KILL_LEFTOVERS : 0u),
        .timeout_ms = request->timeout_ms,
        .grace_ms = request->grace_ms,
        .max_output = request->max_output,
    };
    _cleanup_free_ uint8_t *payload = NULL;
    size_t size;

    if (make_command(request->argv, request->env, request->cwd, request->user, &message.command,
                     err) < 0)
        return -1;
    size = agent_exec_size(&message);
    if (allocate_request(size, &payload, err) < 0)
        return -1;
    agent_outgoing_request(outgoing, AGENT_FRAME_EXEC, payload,
                           agent_exec_encode(&message, payload, size));
    if (request->stdin_data)
        agent_outgoing_body(outgoing, request->stdin_data, request->stdin_size);
    return 0;
}

static int check_start(const struct agent_start_request *request, struct error *err)
{
    if (request->retries > AGENT_RETRIES_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "retries", "at most %d retries",
                               AGENT_RETRIES_MAX);
    if (request->log_lines < AGENT_LOG_LINES_MIN || request->log_lines > AGENT_LOG_LINES_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "log_lines", "a log has %d to %d lines",
                               AGENT_LOG_LINES_MIN, AGENT_LOG_LINES_MAX);
    if (request->log_bytes < AGENT_LOG_BYTES_MIN || request->log_bytes > AGENT_LOG_BYTES_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "log_bytes",
                               "a log has %" PRIu64 " to %" PRIu64 " bytes", AGENT_LOG_BYTES_MIN,
                               AGENT_LOG_BYTES_MAX);
    return 0;
}

int agent_request_start(struct agent_outgoing *outgoing, const struct agent_start_request *request,
                        struct error *err)
{
    struct agent_start_message message = {
        .id = request->id,
        .flags = (request->input ? AGENT_START_STDIN : 0u) |
                 (request->terminal ? AGENT_START_TERMINAL : 0u) |
                 (request->kill_leftovers ? AGENT_START_KILL_LEFTOVERS : 0u),
        .timeout_ms = request->timeout_ms,
        .grace_ms = request->grace_ms,
        .retries = request->retries,
        .backoff_ms = request->backoff_ms,
        .rows = request->rows,
        .columns = request->columns,
        .log_lines = request->log_lines,
        .log_bytes = request->log_bytes,
    };
    _cleanup_free_ uint8_t *payload = NULL;
    size_t size;

    if (check_start(request, err) < 0 || make_command(request->argv, request->env, request->cwd,
                                                      request->user, &message.command, err) < 0)
        return -1;
    size = agent_start_size(&message);
    if (allocate_request(size, &payload, err) < 0)
        return -1;
    agent_outgoing_request(outgoing, AGENT_FRAME_START, payload,
                           agent_start_encode(&message, payload, size));
    return 0;
}
