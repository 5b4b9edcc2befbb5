#include "lib/agentproto/message.h"
#include "lib/agentproto/wire.h"

/* What a request may have in its payload. */
struct rule {
    uint32_t flags;
    uint32_t number_max;
    uint32_t limit_max;
    uint8_t type;
    bool has_target;
};

static const struct rule rules[] = {
#define FILE_RULE(type_, flags_, number, limit, target)                                            \
    {.flags = (flags_),                                                                            \
     .number_max = (number),                                                                       \
     .limit_max = (limit),                                                                         \
     .type = (type_),                                                                              \
     .has_target = (target)},
    AGENT_FILE_REQUESTS(FILE_RULE)
#undef FILE_RULE
};

static const struct rule *find_rule(uint8_t type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (rules[i].type == type)
            return &rules[i];
    return NULL;
}

static bool file_valid(const struct agent_file_message *message, const struct rule *rule)
{
    return (message->flags & ~rule->flags) == 0 && message->number <= rule->number_max &&
           message->limit <= rule->limit_max && (message->limit > 0) == (rule->limit_max > 0) &&
           (rule->limit_max == 0 || message->number > 0) && wire_is_absolute(message->path) &&
           (rule->has_target ? wire_is_absolute(message->target) : message->target[0] == '\0');
}

size_t agent_file_encode(const struct agent_file_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->number);
    wire_put_u32(&writer, message->limit);
    wire_put_string(&writer, message->user);
    wire_put_string(&writer, message->path);
    wire_put_string(&writer, message->target);
    if (message->flags & AGENT_FILE_SKIP)
        wire_put_u64(&writer, message->skip);
    return wire_writer_size(&writer);
}

bool agent_file_decode(uint8_t type, const uint8_t *data, size_t size,
                       struct agent_file_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};
    const struct rule *rule = find_rule(type);

    if (!rule)
        return false;
    message->type = type;
    message->flags = wire_get_u32(&reader);
    message->number = wire_get_u32(&reader);
    message->limit = wire_get_u32(&reader);
    message->user = wire_get_string(&reader, AGENT_USER_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    message->target = wire_get_string(&reader, AGENT_PATH_MAX);
    message->skip = message->flags & AGENT_FILE_SKIP ? wire_get_u64(&reader) : 0;
    return wire_reader_complete(&reader) && file_valid(message, rule);
}

size_t agent_entry_encode(const struct agent_entry_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->type);
    wire_put_u32(&writer, message->mode);
    wire_put_u32(&writer, message->uid);
    wire_put_u32(&writer, message->gid);
    wire_put_u64(&writer, message->size);
    wire_put_u64(&writer, message->inode);
    wire_put_u64(&writer, (uint64_t)message->mtime_nsec);
    wire_put_string(&writer, message->owner);
    wire_put_string(&writer, message->group);
    wire_put_string(&writer, message->path);
    wire_put_string(&writer, message->link);
    return wire_writer_size(&writer);
}

bool agent_entry_decode(const uint8_t *data, size_t size, struct agent_entry_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->type = wire_get_u32(&reader);
    message->mode = wire_get_u32(&reader);
    message->uid = wire_get_u32(&reader);
    message->gid = wire_get_u32(&reader);
    message->size = wire_get_u64(&reader);
    message->inode = wire_get_u64(&reader);
    message->mtime_nsec = (int64_t)wire_get_u64(&reader);
    message->owner = wire_get_string(&reader, AGENT_NAME_MAX);
    message->group = wire_get_string(&reader, AGENT_NAME_MAX);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    message->link = wire_get_string(&reader, AGENT_PATH_MAX);
    return wire_reader_complete(&reader) && message->type >= AGENT_FILE_REGULAR &&
           message->type <= AGENT_FILE_DEVICE && message->mode <= AGENT_MODE_MAX &&
           message->size <= INT64_MAX;
}

size_t agent_change_encode(const struct agent_change_message *message, uint8_t *data,
                           size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->kind);
    wire_put_u32(&writer, message->flags);
    wire_put_string(&writer, message->path);
    wire_put_string(&writer, message->target);
    return wire_writer_size(&writer);
}

bool agent_change_decode(const uint8_t *data, size_t size, struct agent_change_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->kind = wire_get_u32(&reader);
    message->flags = wire_get_u32(&reader);
    message->path = wire_get_string(&reader, AGENT_PATH_MAX);
    message->target = wire_get_string(&reader, AGENT_PATH_MAX);
    return wire_reader_complete(&reader) && message->kind >= AGENT_CHANGE_READY &&
           message->kind <= AGENT_CHANGE_OVERFLOW &&
           (message->flags & ~(unsigned)AGENT_CHANGE_FLAGS) == 0 &&
           (message->kind == AGENT_CHANGE_MOVE) == (message->target[0] != '\0');
}
