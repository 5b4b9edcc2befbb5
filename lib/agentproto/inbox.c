#include "lib/agentproto/inbox.h"

#include "lib/agentproto/wire.h"

#include <string.h>

static enum agent_event take_exec(struct agent_inbox *inbox, const uint8_t *data, size_t size,
                                  struct agent_event_data *ret_data)
{
    struct agent_exec_message *exec = &ret_data->exec;

    exec->command.argv = inbox->argv;
    exec->command.env = inbox->env;
    if (!agent_exec_decode(data, size, exec))
        return AGENT_EVENT_BROKEN;
    inbox->state = exec->flags & AGENT_EXEC_STDIN ? AGENT_INBOX_BODY : AGENT_INBOX_IDLE;
    return AGENT_EVENT_EXEC;
}

static enum agent_event take_start(struct agent_inbox *inbox, const uint8_t *data, size_t size,
                                   struct agent_event_data *ret_data)
{
    struct agent_start_message *start = &ret_data->start;

    start->command.argv = inbox->argv;
    start->command.env = inbox->env;
    if (!agent_start_decode(data, size, start))
        return AGENT_EVENT_BROKEN;
    inbox->state = AGENT_INBOX_IDLE;
    return AGENT_EVENT_START;
}

static enum agent_event take_joined(struct agent_inbox *inbox, const uint8_t *data, size_t size,
                                    struct agent_event_data *ret_data)
{
    return inbox->request_type == AGENT_FRAME_START ? take_start(inbox, data, size, ret_data)
                                                    : take_exec(inbox, data, size, ret_data);
}

/* Joins a piece; NONE while more are to come. A piece must carry something, or a client could
 * keep the agent busy for ever. */
static enum agent_event join_request(struct agent_inbox *inbox, const struct agent_frame *frame,
                                     struct agent_event_data *ret_data)
{
    if (frame->size == 0 || frame->size > inbox->request_total - inbox->request_size)
        return AGENT_EVENT_BROKEN;
    memcpy(inbox->request + inbox->request_size, frame->payload, frame->size);
    inbox->request_size += frame->size;
    if (inbox->request_size < inbox->request_total)
        return AGENT_EVENT_NONE;
    return take_joined(inbox, inbox->request, inbox->request_total, ret_data);
}

/* EXEC and START, which may be larger than a frame. */
static enum agent_event begin_request(struct agent_inbox *inbox, const struct agent_frame *frame,
                                      struct agent_event_data *ret_data)
{
    struct wire_reader reader = {.data = frame->payload, .size = frame->size};
    uint32_t total = wire_get_u32(&reader);

    if (reader.failed || total > AGENT_REQUEST_MAX || total < frame->size)
        return AGENT_EVENT_BROKEN;
    inbox->request_type = frame->type;
    if (total == frame->size)
        return take_joined(inbox, frame->payload, frame->size, ret_data);
    inbox->state = AGENT_INBOX_JOINING;
    inbox->request_size = 0;
    inbox->request_total = total;
    return join_request(inbox, frame, ret_data);
}

static enum agent_event decoded(bool valid, enum agent_event event)
{
    return valid ? event : AGENT_EVENT_BROKEN;
}

static enum agent_event take_process_request(struct agent_inbox *inbox,
                                             const struct agent_frame *frame,
                                             struct agent_event_data *ret_data)
{
    const uint8_t *data = frame->payload;
    size_t size = frame->size;

    switch (frame->type) {
    case AGENT_FRAME_LIST:
        return decoded(size == 0, AGENT_EVENT_LIST);
    case AGENT_FRAME_SIGNAL:
        return decoded(agent_signal_decode(data, size, &ret_data->signal), AGENT_EVENT_SIGNAL);
    case AGENT_FRAME_INPUT:
        inbox->state = AGENT_INBOX_BODY;
        return decoded(agent_input_decode(data, size, &ret_data->input), AGENT_EVENT_INPUT);
    case AGENT_FRAME_RESIZE:
        return decoded(agent_resize_decode(data, size, &ret_data->resize), AGENT_EVENT_RESIZE);
    case AGENT_FRAME_WAIT:
        return decoded(agent_wait_decode(data, size, &ret_data->wait), AGENT_EVENT_WAIT);
    case AGENT_FRAME_ATTACH:
        return decoded(agent_attach_decode(data, size, &ret_data->attach), AGENT_EVENT_ATTACH);
    case AGENT_FRAME_FORGET:
        return decoded(agent_forget_decode(data, size, &ret_data->forget), AGENT_EVENT_FORGET);
    case AGENT_FRAME_STOP:
        return decoded(agent_stop_decode(data, size, &ret_data->stop), AGENT_EVENT_STOP);
    case AGENT_FRAME_DISK:
        return decoded(size == 0, AGENT_EVENT_DISK);
    case AGENT_FRAME_SEARCH:
        return decoded(agent_search_decode(data, size, &ret_data->search), AGENT_EVENT_SEARCH);
    default:
        return decoded(agent_file_decode(frame->type, data, size, &ret_data->file),
                       AGENT_EVENT_FILE);
    }
}

static enum agent_event take_request(struct agent_inbox *inbox, const struct agent_frame *frame,
                                     struct agent_event_data *ret_data)
{
    switch (frame->type) {
    case AGENT_FRAME_PING:
        return frame->size == 0 ? AGENT_EVENT_PING : AGENT_EVENT_BROKEN;
    case AGENT_FRAME_EXEC:
    case AGENT_FRAME_START:
        return begin_request(inbox, frame, ret_data);
    case AGENT_FRAME_WRITE:
        if (!agent_write_decode(frame->payload, frame->size, &ret_data->write))
            return AGENT_EVENT_BROKEN;
        inbox->state = AGENT_INBOX_BODY;
        return AGENT_EVENT_WRITE;
    case AGENT_FRAME_READ:
        if (!agent_read_decode(frame->payload, frame->size, &ret_data->read))
            return AGENT_EVENT_BROKEN;
        return AGENT_EVENT_READ;
    default:
        return take_process_request(inbox, frame, ret_data);
    }
}

static enum agent_event take_body(struct agent_inbox *inbox, const struct agent_frame *frame,
                                  struct agent_event_data *ret_data)
{
    if (frame->type == AGENT_FRAME_DATA && frame->size > 0) {
        ret_data->data.bytes = frame->payload;
        ret_data->data.size = frame->size;
        return AGENT_EVENT_DATA;
    }
    if (frame->type != AGENT_FRAME_END || frame->size != 0)
        return AGENT_EVENT_BROKEN;
    inbox->state = AGENT_INBOX_IDLE;
    return AGENT_EVENT_END;
}

enum agent_event agent_inbox_next(struct agent_inbox *inbox, struct agent_event_data *ret_data)
{
    for (;;) {
        struct agent_frame frame;
        enum agent_event event;

        switch (agent_buffer_next(&inbox->buffer, &frame)) {
        case AGENT_FRAME_PARTIAL:
            return AGENT_EVENT_NONE;
        case AGENT_FRAME_BROKEN:
            return AGENT_EVENT_BROKEN;
        case AGENT_FRAME_WHOLE:
            break;
        }
        if (inbox->state == AGENT_INBOX_BODY)
            return take_body(inbox, &frame, ret_data);
        if (inbox->state == AGENT_INBOX_IDLE)
            event = take_request(inbox, &frame, ret_data);
        else if (frame.type == AGENT_FRAME_MORE)
            event = join_request(inbox, &frame, ret_data);
        else
            event = AGENT_EVENT_BROKEN;
        if (event != AGENT_EVENT_NONE)
            return event;
    }
}
