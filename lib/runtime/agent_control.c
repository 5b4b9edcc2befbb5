#include "lib/runtime/agent_control.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_client_private.h"

#include <errno.h>
#include <stdlib.h>

/* Payload of the requests. */
enum { REQUEST_MAX = 64 };

struct agent_control {
    struct agent_client *client;
    struct id id;
    struct agent_outgoing outgoing;
    bool is_busy;
    bool is_sent;
};

int agent_control_open(struct agent_client *client, const struct id *id,
                       struct agent_control **ret_control, struct error *err)
{
    struct agent_control *control = calloc(1, sizeof(*control));

    if (!control) {
        agent_client_free(client);
        return error_set_errno(err, ENOMEM, "cannot control a process");
    }
    control->client = client;
    control->id = *id;
    *ret_control = control;
    return 0;
}

void agent_control_free(struct agent_control *control)
{
    if (!control)
        return;
    agent_outgoing_free(&control->outgoing);
    agent_client_free(control->client);
    free(control);
}

int agent_control_fd(const struct agent_control *control)
{
    return control->client->channel.fd;
}

bool agent_control_is_busy(const struct agent_control *control)
{
    return control->is_busy;
}

static void begin(struct agent_control *control, enum agent_frame_type type, const uint8_t *payload,
                  size_t size)
{
    agent_outgoing_free(&control->outgoing);
    agent_outgoing_frame(&control->outgoing, type, payload, size);
    control->is_busy = true;
    control->is_sent = false;
}

void agent_control_input(struct agent_control *control, const void *data, size_t size,
                         bool close_after)
{
    const struct agent_input_message message = {
        .id = control->id,
        .flags = close_after ? AGENT_INPUT_CLOSE : 0u,
    };
    uint8_t payload[REQUEST_MAX];

    begin(control, AGENT_FRAME_INPUT, payload,
          agent_input_encode(&message, payload, sizeof(payload)));
    agent_outgoing_body(&control->outgoing, data, size);
}

void agent_control_signal(struct agent_control *control, int signum,
                          enum agent_signal_target target, bool final)
{
    const struct agent_signal_message message = {
        .id = control->id,
        .signal = (uint32_t)signum,
        .target = target,
        .flags = final ? AGENT_SIGNAL_FINAL : 0u,
    };
    uint8_t payload[REQUEST_MAX];

    begin(control, AGENT_FRAME_SIGNAL, payload,
          agent_signal_encode(&message, payload, sizeof(payload)));
}

void agent_control_resize(struct agent_control *control, uint16_t rows, uint16_t columns)
{
    const struct agent_resize_message message = {
        .id = control->id, .rows = rows, .columns = columns};
    uint8_t payload[REQUEST_MAX];

    begin(control, AGENT_FRAME_RESIZE, payload,
          agent_resize_encode(&message, payload, sizeof(payload)));
}

/* The one frame that answers. */
static int take_answer(struct agent_control *control, const struct agent_frame *frame,
                       struct error *err)
{
    struct error failure;
    uint64_t value;

    if (frame->type == AGENT_FRAME_ERROR) {
        if (agent_take_failure(frame, &failure, err) < 0)
            return -1;
        *err = failure;
        /* It may have been told before all of the input was sent: the rest would be a new request.
         */
        if (!control->is_sent)
            err->code = ERR_UNAVAILABLE;
        control->is_busy = false;
        return -1;
    }
    if (!control->is_sent || frame->type != AGENT_FRAME_DONE ||
        !agent_done_decode(frame->payload, frame->size, &value))
        return agent_protocol_error(err);
    control->is_busy = false;
    return 1;
}

int agent_control_step(struct agent_control *control, struct error *err)
{
    struct agent_channel *channel = &control->client->channel;
    struct agent_frame frame;
    int found;

    if (!control->is_busy)
        return 1;
    if (!control->is_sent &&
        agent_channel_send(channel, &control->outgoing, &control->is_sent, err) < 0)
        return -1;
    if (agent_channel_receive(channel, err) < 0)
        return -1;
    found = agent_next_frame(&channel->buffer, &frame, err);
    return found > 0 ? take_answer(control, &frame, err) : found;
}
