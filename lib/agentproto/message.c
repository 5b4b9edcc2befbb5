#include "lib/agentproto/message.h"

#include "lib/agentproto/wire.h"

#include <string.h>
#include <sys/wait.h>

enum { MODE_MAX = 07777, ERRNO_MAX = 4095 };

static size_t finish(const struct wire_writer *writer)
{
    return writer->failed ? 0 : writer->size;
}

static bool is_absolute(const char *path)
{
    return path[0] == '/';
}

/* Adds the wire size of each string to `size`, up to a total that cannot overflow. */
static size_t add_strings(size_t size, const char *const *strings, size_t count)
{
    for (size_t i = 0; i < count && size <= AGENT_REQUEST_MAX; i++)
        size += sizeof(uint32_t) + strlen(strings[i]) + 1;
    return size;
}

size_t agent_exec_size(const struct agent_exec_message *message)
{
    const char *fixed[] = {message->cwd, message->user};
    size_t size = 7 * sizeof(uint32_t) + sizeof(uint64_t);

    size = add_strings(size, fixed, 2);
    size = add_strings(size, message->argv, message->argc);
    size = add_strings(size, message->env, message->envc);
    return size <= AGENT_REQUEST_MAX ? size : 0;
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
    wire_put_string(&writer, message->cwd);
    wire_put_string(&writer, message->user);
    wire_put_u32(&writer, message->argc);
    for (uint32_t i = 0; i < message->argc; i++)
        wire_put_string(&writer, message->argv[i]);
    wire_put_u32(&writer, message->envc);
    for (uint32_t i = 0; i < message->envc; i++)
        wire_put_string(&writer, message->env[i]);
    return finish(&writer);
}

size_t agent_write_encode(const struct agent_write_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->mode);
    wire_put_string(&writer, message->owner);
    wire_put_string(&writer, message->path);
    return finish(&writer);
}

size_t agent_read_encode(const struct agent_read_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u64(&writer, message->offset);
    wire_put_u64(&writer, message->limit);
    wire_put_string(&writer, message->user);
    wire_put_string(&writer, message->path);
    return finish(&writer);
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
    return finish(&writer);
}

size_t agent_done_encode(uint64_t value, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u64(&writer, value);
    return finish(&writer);
}

size_t agent_error_encode(const struct agent_error_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->stage);
    wire_put_u32(&writer, message->errnum);
    return finish(&writer);
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

static bool env_valid(const struct agent_exec_message *message)
{
    for (uint32_t i = 0; i < message->envc; i++) {
        const char *equals = strchr(message->env[i], '=');

        if (!equals || equals == message->env[i])
            return false;
    }
    return true;
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
    message->cwd = wire_get_string(&reader, AGENT_PATH_MAX);
    message->user = wire_get_string(&reader, AGENT_USER_MAX);
    message->argc = get_strings(&reader, message->argv);
    message->envc = get_strings(&reader, message->env);
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_EXEC_FLAGS) == 0 &&
           message->argv[0] && message->argv[0][0] != '\0' && is_absolute(message->cwd) &&
           env_valid(message);
}

bool agent_write_decode(const uint8_t *data, size_t size, struct agent_write_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->flags = wire_get_u32(&reader);
    message->mode = wire_get_u32(&reader);
    message->owner = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_WRITE_FLAGS) == 0 &&
           message->mode <= MODE_MAX && is_absolute(message->path);
}

bool agent_read_decode(const uint8_t *data, size_t size, struct agent_read_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->offset = wire_get_u64(&reader);
    message->limit = wire_get_u64(&reader);
    message->user = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    return wire_reader_complete(&reader) && message->offset <= INT64_MAX &&
           is_absolute(message->path);
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
           message->status <= UINT16_MAX &&
           (WIFEXITED((int)message->status) || WIFSIGNALED((int)message->status));
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
           message->stage <= AGENT_STAGE_FILE && message->errnum > 0 &&
           message->errnum <= ERRNO_MAX;
}
