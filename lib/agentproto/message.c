#include "lib/agentproto/message.h"

#include "lib/agentproto/wire.h"

#include <string.h>
#include <sys/wait.h>

/* Adds the wire size of each string to `size`, up to a total that cannot overflow. */
static size_t add_strings(size_t size, const char *const *strings, size_t count)
{
    for (size_t i = 0; i < count && size <= AGENT_REQUEST_MAX; i++)
        size += sizeof(uint32_t) + strlen(strings[i]) + 1;
    return size;
}

/* `size` and the wire size of the command; 0 when that is over AGENT_REQUEST_MAX. */
static size_t add_command(size_t size, const struct agent_command *command)
{
    const char *fixed[] = {command->cwd, command->user};

    size += 2 * sizeof(uint32_t);
    size = add_strings(size, fixed, 2);
    size = add_strings(size, command->argv, command->argc);
    size = add_strings(size, command->env, command->envc);
    return size <= AGENT_REQUEST_MAX ? size : 0;
}

static void put_command(struct wire_writer *writer, const struct agent_command *command)
{
    wire_put_string(writer, command->cwd);
    wire_put_string(writer, command->user);
    wire_put_u32(writer, command->argc);
    for (uint32_t i = 0; i < command->argc; i++)
        wire_put_string(writer, command->argv[i]);
    wire_put_u32(writer, command->envc);
    for (uint32_t i = 0; i < command->envc; i++)
        wire_put_string(writer, command->env[i]);
}

size_t agent_exec_size(const struct agent_exec_message *message)
{
    return add_command(5 * sizeof(uint32_t) + sizeof(uint64_t), &message->command);
}

size_t agent_exec_encode(const struct agent_exec_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};
    size_t total = agent_exec_size(message);

    if (total == 0)
        return 0;
    wire_put_u32(&writer, (uint32_t)total);
    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->after);
    wire_put_u32(&writer, message->timeout_ms);
    wire_put_u32(&writer, message->grace_ms);
    wire_put_u64(&writer, message->max_output);
    put_command(&writer, &message->command);
    return wire_writer_size(&writer);
}

size_t agent_start_size(const struct agent_start_message *message)
{
    return add_command(9 * sizeof(uint32_t) + ID_BYTES + sizeof(uint64_t), &message->command);
}

size_t agent_start_encode(const struct agent_start_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};
    size_t total = agent_start_size(message);

    if (total == 0)
        return 0;
    wire_put_u32(&writer, (uint32_t)total);
    wire_put_id(&writer, &message->id);
    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->timeout_ms);
    wire_put_u32(&writer, message->grace_ms);
    wire_put_u32(&writer, message->retries);
    wire_put_u32(&writer, message->backoff_ms);
    wire_put_u32(&writer, message->rows);
    wire_put_u32(&writer, message->columns);
    wire_put_u32(&writer, message->log_lines);
    wire_put_u64(&writer, message->log_bytes);
    put_command(&writer, &message->command);
    return wire_writer_size(&writer);
}

size_t agent_write_encode(const struct agent_write_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->mode);
    wire_put_string(&writer, message->owner);
    wire_put_string(&writer, message->path);
    if (message->flags & AGENT_WRITE_MATCH) {
        wire_put_u64(&writer, message->size);
        wire_put_u64(&writer, message->inode);
        wire_put_u64(&writer, (uint64_t)message->mtime_nsec);
    }
    return wire_writer_size(&writer);
}

size_t agent_read_encode(const struct agent_read_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u64(&writer, message->offset);
    wire_put_u64(&writer, message->limit);
    wire_put_string(&writer, message->user);
    wire_put_string(&writer, message->path);
    return wire_writer_size(&writer);
}

size_t agent_exit_encode(const struct agent_exit_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->status);
    wire_put_u32(&writer, message->flags);
    wire_put_u64(&writer, message->wall_usec);
    wire_put_u64(&writer, message->user_usec);
    wire_put_u64(&writer, message->system_usec);
    wire_put_u64(&writer, message->max_rss_bytes);
    return wire_writer_size(&writer);
}

size_t agent_done_encode(uint64_t value, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u64(&writer, value);
    return wire_writer_size(&writer);
}

size_t agent_error_encode(const struct agent_error_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->stage);
    wire_put_u32(&writer, message->errnum);
    return wire_writer_size(&writer);
}

/* Reads a counted list into `strings`, which has room for AGENT_ARGS_MAX and the NULL. */
static uint32_t get_strings(struct wire_reader *reader, const char **strings)
{
    uint32_t count = wire_get_u32(reader);

    if (count > AGENT_ARGS_MAX) {
        reader->failed = true;
        count = 0;
    }
    for (uint32_t i = 0; i < count && !reader->failed; i++)
        strings[i] = wire_get_string(reader, AGENT_STRING_MAX);
    strings[reader->failed ? 0 : count] = NULL;
    return count;
}

static bool env_valid(const struct agent_command *command)
{
    for (uint32_t i = 0; i < command->envc; i++) {
        const char *equals = strchr(command->env[i], '=');

        if (!equals || equals == command->env[i])
            return false;
    }
    return true;
}

/* The last fields of a payload. True when they and the whole of it are well-formed. */
static bool get_command(struct wire_reader *reader, struct agent_command *command)
{
    command->cwd = wire_get_string(reader, AGENT_PATH_MAX);
    command->user = wire_get_string(reader, AGENT_USER_MAX);
    command->argc = get_strings(reader, command->argv);
    command->envc = get_strings(reader, command->env);
    return wire_reader_complete(reader) && command->argv[0] && command->argv[0][0] != '\0' &&
           wire_is_absolute(command->cwd) && env_valid(command);
}

bool agent_exec_decode(const uint8_t *data, size_t size, struct agent_exec_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    if (wire_get_u32(&reader) != size)
        return false;
    message->flags = wire_get_u32(&reader);
    message->after = wire_get_u32(&reader);
    message->timeout_ms = wire_get_u32(&reader);
    message->grace_ms = wire_get_u32(&reader);
    message->max_output = wire_get_u64(&reader);
    return get_command(&reader, &message->command) &&
           (message->flags & ~(uint32_t)AGENT_EXEC_FLAGS) == 0;
}

static bool start_valid(const struct agent_start_message *message)
{
    return (message->flags & ~(uint32_t)AGENT_START_FLAGS) == 0 &&
           message->retries <= AGENT_RETRIES_MAX && message->rows <= UINT16_MAX &&
           message->columns <= UINT16_MAX && message->log_lines >= AGENT_LOG_LINES_MIN &&
           message->log_lines <= AGENT_LOG_LINES_MAX && message->log_bytes >= AGENT_LOG_BYTES_MIN &&
           message->log_bytes <= AGENT_LOG_BYTES_MAX;
}

bool agent_start_decode(const uint8_t *data, size_t size, struct agent_start_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    if (wire_get_u32(&reader) != size)
        return false;
    message->id = wire_get_id(&reader);
    message->flags = wire_get_u32(&reader);
    message->timeout_ms = wire_get_u32(&reader);
    message->grace_ms = wire_get_u32(&reader);
    message->retries = wire_get_u32(&reader);
    message->backoff_ms = wire_get_u32(&reader);
    message->rows = wire_get_u32(&reader);
    message->columns = wire_get_u32(&reader);
    message->log_lines = wire_get_u32(&reader);
    message->log_bytes = wire_get_u64(&reader);
    return get_command(&reader, &message->command) && start_valid(message);
}

bool agent_write_decode(const uint8_t *data, size_t size, struct agent_write_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->flags = wire_get_u32(&reader);
    message->mode = wire_get_u32(&reader);
    message->owner = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    if (message->flags & AGENT_WRITE_MATCH) {
        message->size = wire_get_u64(&reader);
        message->inode = wire_get_u64(&reader);
        message->mtime_nsec = (int64_t)wire_get_u64(&reader);
    }
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_WRITE_FLAGS) == 0 &&
           (~message->flags & (AGENT_WRITE_ABSENT | AGENT_WRITE_MATCH)) != 0 &&
           message->mode <= AGENT_MODE_MAX && wire_is_absolute(message->path);
}

bool agent_read_decode(const uint8_t *data, size_t size, struct agent_read_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->flags = wire_get_u32(&reader);
    message->offset = wire_get_u64(&reader);
    message->limit = wire_get_u64(&reader);
    message->user = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_READ_FLAGS) == 0 &&
           message->offset <= INT64_MAX && wire_is_absolute(message->path);
}

bool agent_status_valid(uint32_t status)
{
    return status <= UINT16_MAX && (WIFEXITED((int)status) || WIFSIGNALED((int)status));
}

bool agent_exit_decode(const uint8_t *data, size_t size, struct agent_exit_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->status = wire_get_u32(&reader);
    message->flags = wire_get_u32(&reader);
    message->wall_usec = wire_get_u64(&reader);
    message->user_usec = wire_get_u64(&reader);
    message->system_usec = wire_get_u64(&reader);
    message->max_rss_bytes = wire_get_u64(&reader);
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_EXIT_FLAGS) == 0 &&
           agent_status_valid(message->status);
}

bool agent_done_decode(const uint8_t *data, size_t size, uint64_t *ret_value)
{
    struct wire_reader reader = {.data = data, .size = size};
    uint64_t value = wire_get_u64(&reader);

    if (!wire_reader_complete(&reader))
        return false;
    *ret_value = value;
    return true;
}

bool agent_error_decode(const uint8_t *data, size_t size, struct agent_error_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->stage = wire_get_u32(&reader);
    message->errnum = wire_get_u32(&reader);
    return wire_reader_complete(&reader) && message->stage >= AGENT_STAGE_REQUEST &&
           message->stage <= AGENT_STAGE_TARGET && message->errnum > 0 &&
           message->errnum <= WIRE_ERRNO_MAX;
}
