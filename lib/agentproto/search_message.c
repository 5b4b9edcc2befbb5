#include "lib/agentproto/message.h"
#include "lib/agentproto/pattern.h"
#include "lib/agentproto/wire.h"

#include <limits.h>

size_t agent_search_encode(const struct agent_search_message *message, uint8_t *data,
                           size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->limit);
    wire_put_u32(&writer, message->timeout_ms);
    wire_put_string(&writer, message->user);
    wire_put_string(&writer, message->path);
    wire_put_string(&writer, message->name);
    wire_put_string(&writer, message->content);
    return wire_writer_size(&writer);
}

static bool search_valid(const struct agent_search_message *message)
{
    bool has_content = message->flags & AGENT_SEARCH_CONTENT;

    return (message->flags & ~(uint32_t)AGENT_SEARCH_FLAGS) == 0 && message->limit > 0 &&
           message->limit <= AGENT_SEARCH_MATCHES_MAX && message->timeout_ms > 0 &&
           message->timeout_ms <= AGENT_SEARCH_MS_MAX && wire_is_absolute(message->path) &&
           has_content == (message->content[0] != '\0');
}

bool agent_search_decode(const uint8_t *data, size_t size, struct agent_search_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->flags = wire_get_u32(&reader);
    message->limit = wire_get_u32(&reader);
    message->timeout_ms = wire_get_u32(&reader);
    message->user = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    message->name = wire_get_string(&reader, NAME_MAX + 1);
    message->content = wire_get_string(&reader, PATTERN_TEXT_MAX);
    return wire_reader_complete(&reader) && search_valid(message);
}

size_t agent_match_encode(const struct agent_match_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->type);
    wire_put_u32(&writer, message->flags);
    wire_put_u64(&writer, message->line);
    wire_put_string(&writer, message->path);
    wire_put_string(&writer, message->text);
    return wire_writer_size(&writer);
}

bool agent_match_decode(const uint8_t *data, size_t size, struct agent_match_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->type = wire_get_u32(&reader);
    message->flags = wire_get_u32(&reader);
    message->line = wire_get_u64(&reader);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    message->text = wire_get_string(&reader, AGENT_SEARCH_TEXT_MAX);
    return wire_reader_complete(&reader) && message->type >= AGENT_FILE_REGULAR &&
           message->type <= AGENT_FILE_DEVICE &&
           (message->flags & ~(uint32_t)AGENT_MATCH_FLAGS) == 0 && message->line <= INT64_MAX;
}

size_t agent_found_encode(const struct agent_found_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u64(&writer, message->files);
    wire_put_u64(&writer, message->binary);
    wire_put_u64(&writer, message->unread);
    return wire_writer_size(&writer);
}

bool agent_found_decode(const uint8_t *data, size_t size, struct agent_found_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->flags = wire_get_u32(&reader);
    message->files = wire_get_u64(&reader);
    message->binary = wire_get_u64(&reader);
    message->unread = wire_get_u64(&reader);
    return wire_reader_complete(&reader) && (message->flags & ~(uint32_t)AGENT_FOUND_FLAGS) == 0 &&
           message->files <= INT64_MAX && message->binary <= INT64_MAX &&
           message->unread <= INT64_MAX;
}
