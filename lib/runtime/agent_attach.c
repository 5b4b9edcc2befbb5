#include "lib/runtime/agent_attach.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_client_private.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { REQUEST_MAX = AGENT_HEADER_SIZE + 64 };

struct agent_attach {
    struct agent_client *client;
    struct id id;
    uint32_t flags;    /* AGENT_ATTACH_* */
    uint64_t expected; /* offset of the next byte, if nothing is gone */
    bool greeted;      /* the first PROCESS has come */
    bool counted;      /* `expected` holds, for one stream alone: output has come */
    bool done;
};

static uint32_t attach_flags(const struct agent_attach_options *options)
{
    return (options->follow ? AGENT_ATTACH_FOLLOW : 0u) |
           (options->no_stdout ? AGENT_ATTACH_NO_STDOUT : 0u) |
           (options->no_stderr ? AGENT_ATTACH_NO_STDERR : 0u);
}

/* A new connection's buffer has room for so small a request. */
static int send_request(const struct agent_attach *attach, struct error *err)
{
    const struct agent_attach_message message = {
        .id = attach->id,
        .flags = attach->flags,
        .offset = attach->expected,
    };
    uint8_t request[REQUEST_MAX];
    size_t size = agent_attach_encode(&message, request + AGENT_HEADER_SIZE,
                                      sizeof(request) - AGENT_HEADER_SIZE);

    agent_frame_header(request, AGENT_FRAME_ATTACH, (uint32_t)size);
    size += AGENT_HEADER_SIZE;
    if (send(attach->client->channel.fd, request, size, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        (ssize_t)size)
        return error_set(err, ERR_UNAVAILABLE, "cannot send to the sandbox's agent");
    return 0;
}

int agent_attach_begin(struct agent_client *client, const struct id *id,
                       const struct agent_attach_options *options, struct agent_attach **ret_attach,
                       struct error *err)
{
    struct agent_attach *attach = calloc(1, sizeof(*attach));

    if (!attach) {
        agent_client_free(client);
        return error_set_errno(err, ENOMEM, "cannot attach to a process");
    }
    attach->client = client;
    attach->id = *id;
    attach->flags = attach_flags(options);
    attach->expected = options->offset;
    if (send_request(attach, err) < 0) {
        agent_attach_free(attach);
        return -1;
    }
    *ret_attach = attach;
    return 0;
}

int agent_attach_fd(const struct agent_attach *attach)
{
    return attach->client->channel.fd;
}

int agent_attach_receive(struct agent_attach *attach, struct error *err)
{
    return agent_channel_receive(&attach->client->channel, err);
}

static int take_process(struct agent_attach *attach, const struct agent_frame *frame,
                        struct agent_attach_event *ret_event, struct error *err)
{
    struct agent_process_message message;

    if (!agent_process_decode(frame->payload, frame->size, &message) ||
        !id_equal(&message.id, &attach->id))
        return agent_protocol_error(err);
    *ret_event = (struct agent_attach_event){
        .kind = attach->greeted ? AGENT_ATTACH_DONE : AGENT_ATTACH_STATE,
    };
    agent_process_from_message(&message, &ret_event->process);
    if (!attach->greeted && attach->expected > message.log_end)
        attach->expected = message.log_end;
    attach->done = attach->greeted;
    attach->greeted = true;
    return 1;
}

/* Where the output lies in what was asked for: all of it, or one stream. */
static uint64_t position_of(const struct agent_attach *attach,
                            const struct agent_output_message *output)
{
    bool all = !(attach->flags & (AGENT_ATTACH_NO_STDOUT | AGENT_ATTACH_NO_STDERR));

    return all ? output->offset : output->stream_offset;
}

static int take_output(struct agent_attach *attach, const struct agent_frame *frame,
                       struct agent_attach_event *ret_event, struct error *err)
{
    bool all = !(attach->flags & (AGENT_ATTACH_NO_STDOUT | AGENT_ATTACH_NO_STDERR));
    struct agent_output_message output;
    uint64_t position;

    if (!attach->greeted || !agent_output_decode(frame->payload, frame->size, &output))
        return agent_protocol_error(err);
    position = position_of(attach, &output);
    /* Where in one stream the asked offset lies is not known before its first byte. */
    if (!all && !attach->counted)
        attach->expected = position;
    if (position < attach->expected)
        return agent_protocol_error(err);
    *ret_event = (struct agent_attach_event){
        .kind = AGENT_ATTACH_OUTPUT,
        .stream = (enum agent_stream)output.stream,
        .offset = output.offset,
        .stream_offset = output.stream_offset,
        .gap = position - attach->expected,
        .time_usec = (int64_t)output.time_usec,
        .bytes = output.bytes,
        .size = output.size,
    };
    attach->expected = position + output.size;
    attach->counted = true;
    return 1;
}

static int take_frame(struct agent_attach *attach, const struct agent_frame *frame,
                      struct agent_attach_event *ret_event, struct error *err)
{
    struct error failure;

    switch (frame->type) {
    case AGENT_FRAME_PROCESS:
        return take_process(attach, frame, ret_event, err);
    case AGENT_FRAME_OUTPUT:
        return take_output(attach, frame, ret_event, err);
    case AGENT_FRAME_ERROR:
        if (agent_take_failure(frame, &failure, err) == 0)
            *err = failure;
        return -1;
    default:
        return agent_protocol_error(err);
    }
}

int agent_attach_next(struct agent_attach *attach, struct agent_attach_event *ret_event,
                      struct error *err)
{
    struct agent_frame frame;
    int found;

    if (attach->done)
        return 0;
    found = agent_next_frame(&attach->client->channel.buffer, &frame, err);
    return found > 0 ? take_frame(attach, &frame, ret_event, err) : found;
}

void agent_attach_free(struct agent_attach *attach)
{
    if (!attach)
        return;
    agent_client_free(attach->client);
    free(attach);
}
