#include "lib/agentproto/inbox.h"

#include "lib/agentproto/wire.h"

#include <string.h>

static enum agent_event take_exec(struct agent_inbox *inbox, const uint8_t *data, size_t size,
                                  struct agent_event_data *ret_data)
{
    struct agent_exec_message *exec = &ret_data->exec;

    exec->argv = inbox->argv;
    exec->env = inbox->env;
    if (!agent_exec_decode(data, size, exec))
        return AGENT_EVENT_BROKEN;
    inbox->state = exec->flags & AGENT_EXEC_STDIN ? AGENT_INBOX_BODY : AGENT_INBOX_IDLE;
    return AGENT_EVENT_EXEC;
}

/* Joins a piece; NONE while more are to come. A piece must carry something, or a client could
 * keep the agent busy for ever. */
static enum agent_event join_exec(struct agent_inbox *inbox, const struct agent_frame *frame,
                                  struct agent_event_data *ret_data)
{
    if (frame->size == 0 || frame->size > inbox->request_total - inbox->request_size)
        return AGENT_EVENT_BROKEN;
    memcpy(inbox->request + inbox->request_size, frame->payload, frame->size);
    inbox->request_size += frame->size;
    if (inbox->request_size < inbox->request_total)
        return AGENT_EVENT_NONE;
    return take_exec(inbox, inbox->request, inbox->request_total, ret_data);
}

static enum agent_event begin_exec(struct agent_inbox *inbox, const struct agent_frame *frame,
                                   struct agent_event_data *ret_data)
{
    struct wire_reader reader = {.data = frame->payload, .size = frame->size};
    uint32_t total = wire_get_u32(&reader);

    if (reader.failed || total > AGENT_REQUEST_MAX || total < frame->size)
        return AGENT_EVENT_BROKEN;
    if (total == frame->size)
        return take_exec(inbox, frame->payload, frame->size, ret_data);
    inbox->state = AGENT_INBOX_EXEC;
    inbox->request_size = 0;
    inbox->request_total = total;
    return join_exec(inbox, frame, ret_data);
}

static enum agent_event take_request(struct agent_inbox *inbox, const struct agent_frame *frame,
                                     struct agent_event_data *ret_data)
{
    switch (frame->type) {
    case AGENT_FRAME_PING:
        return frame->size == 0 ? AGENT_EVENT_PING : AGENT_EVENT_BROKEN;
    case AGENT_FRAME_EXEC:
        return begin_exec(inbox, frame, ret_data);
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
        return AGENT_EVENT_BROKEN;
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
            event = join_exec(inbox, &frame, ret_data);
        else
            event = AGENT_EVENT_BROKEN;
        if (event != AGENT_EVENT_NONE)
            return event;
    }
}
