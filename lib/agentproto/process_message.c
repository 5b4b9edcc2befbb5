#include "lib/agentproto/message.h"
#include "lib/agentproto/wire.h"

static bool flags_within(uint32_t flags, uint32_t allowed)
{
    return (flags & ~allowed) == 0;
}

/* The requests that name a process and carry up to three numbers. */
static size_t put_request(const struct id *id, const uint32_t *numbers, size_t count, uint8_t *data,
                          size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_id(&writer, id);
    for (size_t i = 0; i < count; i++)
        wire_put_u32(&writer, numbers[i]);
    return wire_writer_size(&writer);
}

static bool get_request(const uint8_t *data, size_t size, struct id *ret_id, uint32_t *numbers,
                        size_t count)
{
    struct wire_reader reader = {.data = data, .size = size};

    *ret_id = wire_get_id(&reader);
    for (size_t i = 0; i < count; i++)
        numbers[i] = wire_get_u32(&reader);
    return wire_reader_complete(&reader);
}

size_t agent_signal_encode(const struct agent_signal_message *message, uint8_t *data,
                           size_t capacity)
{
    const uint32_t numbers[] = {message->signal, message->target, message->flags};

    return put_request(&message->id, numbers, 3, data, capacity);
}

bool agent_signal_decode(const uint8_t *data, size_t size, struct agent_signal_message *message)
{
    uint32_t numbers[3];

    if (!get_request(data, size, &message->id, numbers, 3))
        return false;
    message->signal = numbers[0];
    message->target = numbers[1];
    message->flags = numbers[2];
    return message->signal >= 1 && message->signal <= AGENT_SIGNAL_MAX &&
           message->target < AGENT_SIGNAL_TARGETS &&
           flags_within(message->flags, AGENT_SIGNAL_FLAGS);
}

size_t agent_input_encode(const struct agent_input_message *message, uint8_t *data, size_t capacity)
{
    return put_request(&message->id, &message->flags, 1, data, capacity);
}

bool agent_input_decode(const uint8_t *data, size_t size, struct agent_input_message *message)
{
    return get_request(data, size, &message->id, &message->flags, 1) &&
           flags_within(message->flags, AGENT_INPUT_FLAGS);
}

size_t agent_resize_encode(const struct agent_resize_message *message, uint8_t *data,
                           size_t capacity)
{
    const uint32_t numbers[] = {message->rows, message->columns};

    return put_request(&message->id, numbers, 2, data, capacity);
}

bool agent_resize_decode(const uint8_t *data, size_t size, struct agent_resize_message *message)
{
    uint32_t numbers[2];

    if (!get_request(data, size, &message->id, numbers, 2))
        return false;
    message->rows = numbers[0];
    message->columns = numbers[1];
    return message->rows <= UINT16_MAX && message->columns <= UINT16_MAX;
}

size_t agent_wait_encode(const struct agent_wait_message *message, uint8_t *data, size_t capacity)
{
    return put_request(&message->id, &message->timeout_ms, 1, data, capacity);
}

bool agent_wait_decode(const uint8_t *data, size_t size, struct agent_wait_message *message)
{
    return get_request(data, size, &message->id, &message->timeout_ms, 1);
}

size_t agent_attach_encode(const struct agent_attach_message *message, uint8_t *data,
                           size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_id(&writer, &message->id);
    wire_put_u32(&writer, message->flags);
    wire_put_u64(&writer, message->offset);
    return wire_writer_size(&writer);
}

bool agent_attach_decode(const uint8_t *data, size_t size, struct agent_attach_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->id = wire_get_id(&reader);
    message->flags = wire_get_u32(&reader);
    message->offset = wire_get_u64(&reader);
    return wire_reader_complete(&reader) && flags_within(message->flags, AGENT_ATTACH_FLAGS);
}

size_t agent_forget_encode(const struct agent_forget_message *message, uint8_t *data,
                           size_t capacity)
{
    return put_request(&message->id, &message->flags, 1, data, capacity);
}

bool agent_forget_decode(const uint8_t *data, size_t size, struct agent_forget_message *message)
{
    return get_request(data, size, &message->id, &message->flags, 1) &&
           flags_within(message->flags, AGENT_FORGET_FLAGS);
}

size_t agent_stop_encode(const struct agent_stop_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->grace_ms);
    return wire_writer_size(&writer);
}

bool agent_stop_decode(const uint8_t *data, size_t size, struct agent_stop_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->grace_ms = wire_get_u32(&reader);
    return wire_reader_complete(&reader);
}

size_t agent_process_encode(const struct agent_process_message *message, uint8_t *data,
                            size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_id(&writer, &message->id);
    wire_put_u32(&writer, message->state);
    wire_put_u32(&writer, message->flags);
    wire_put_u32(&writer, message->pid);
    wire_put_u32(&writer, message->attempts);
    wire_put_u32(&writer, message->status);
    wire_put_u32(&writer, message->errnum);
    wire_put_u64(&writer, message->started_usec);
    wire_put_u64(&writer, message->ended_usec);
    wire_put_u64(&writer, message->wall_usec);
    wire_put_u64(&writer, message->user_usec);
    wire_put_u64(&writer, message->system_usec);
    wire_put_u64(&writer, message->max_rss_bytes);
    wire_put_u64(&writer, message->log_begin);
    wire_put_u64(&writer, message->log_end);
    wire_put_u64(&writer, message->stdout_end);
    wire_put_u64(&writer, message->stderr_end);
    return wire_writer_size(&writer);
}

/* What the agent itself keeps true, whoever else wrote the bytes. */
static bool process_valid(const struct agent_process_message *message)
{
    return message->attempts > 0 && message->state >= AGENT_PROCESS_RUNNING &&
           message->state <= AGENT_PROCESS_ENDED &&
           flags_within(message->flags, AGENT_PROCESS_FLAGS) && message->pid <= INT32_MAX &&
           agent_status_valid(message->status) && message->errnum <= WIRE_ERRNO_MAX &&
           message->started_usec <= INT64_MAX && message->ended_usec <= INT64_MAX &&
           message->log_begin <= message->log_end && message->log_end <= INT64_MAX &&
           message->stdout_end <= message->log_end &&
           message->stderr_end == message->log_end - message->stdout_end;
}

bool agent_process_decode(const uint8_t *data, size_t size, struct agent_process_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->id = wire_get_id(&reader);
    message->state = wire_get_u32(&reader);
    message->flags = wire_get_u32(&reader);
    message->pid = wire_get_u32(&reader);
    message->attempts = wire_get_u32(&reader);
    message->status = wire_get_u32(&reader);
    message->errnum = wire_get_u32(&reader);
    message->started_usec = wire_get_u64(&reader);
    message->ended_usec = wire_get_u64(&reader);
    message->wall_usec = wire_get_u64(&reader);
    message->user_usec = wire_get_u64(&reader);
    message->system_usec = wire_get_u64(&reader);
    message->max_rss_bytes = wire_get_u64(&reader);
    message->log_begin = wire_get_u64(&reader);
    message->log_end = wire_get_u64(&reader);
    message->stdout_end = wire_get_u64(&reader);
    message->stderr_end = wire_get_u64(&reader);
    return wire_reader_complete(&reader) && process_valid(message);
}

size_t agent_output_encode(const struct agent_output_message *message, uint8_t *data,
                           size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->stream);
    wire_put_u64(&writer, message->offset);
    wire_put_u64(&writer, message->stream_offset);
    wire_put_u64(&writer, message->time_usec);
    return wire_writer_size(&writer);
}

bool agent_output_decode(const uint8_t *data, size_t size, struct agent_output_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->stream = wire_get_u32(&reader);
    message->offset = wire_get_u64(&reader);
    message->stream_offset = wire_get_u64(&reader);
    message->time_usec = wire_get_u64(&reader);
    if (reader.failed)
        return false;
    message->bytes = data + reader.offset;
    message->size = size - reader.offset;
    return (message->stream == AGENT_STREAM_STDOUT || message->stream == AGENT_STREAM_STDERR) &&
           message->stream_offset <= message->offset && message->time_usec <= INT64_MAX &&
           message->size >= 1 && message->size <= AGENT_OUTPUT_MAX &&
           message->offset <= INT64_MAX - message->size;
}

size_t agent_log_encode(const struct agent_log_message *message, uint8_t *data, size_t capacity)
{
    struct wire_writer writer = {.data = data, .capacity = capacity};

    wire_put_u32(&writer, message->version);
    wire_put_u32(&writer, message->segment);
    wire_put_id(&writer, &message->id);
    wire_put_u64(&writer, message->offset);
    wire_put_u64(&writer, message->stdout_offset);
    wire_put_u64(&writer, message->stderr_offset);
    return wire_writer_size(&writer);
}

bool agent_log_decode(const uint8_t *data, size_t size, struct agent_log_message *message)
{
    struct wire_reader reader = {.data = data, .size = size};

    message->version = wire_get_u32(&reader);
    message->segment = wire_get_u32(&reader);
    message->id = wire_get_id(&reader);
    message->offset = wire_get_u64(&reader);
    message->stdout_offset = wire_get_u64(&reader);
    message->stderr_offset = wire_get_u64(&reader);
    return wire_reader_complete(&reader) && message->version == AGENT_LOG_VERSION &&
           message->offset <= INT64_MAX && message->stdout_offset <= message->offset &&
           message->stderr_offset == message->offset - message->stdout_offset;
}
