#include "tests/unit/support/agent_calls.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_client_private.h"
#include "lib/runtime/agent_request.h"

#include <atoll/cleanup.h>

enum { READ_SIZE = AGENT_PATH_MAX + AGENT_USER_MAX + 64 };

static int take_version(void *context, const struct agent_frame *frame, bool *ret_done,
                        struct error *err)
{
    uint64_t version;

    (void)context;
    if (frame->type != AGENT_FRAME_DONE ||
        !agent_done_decode(frame->payload, frame->size, &version) || version != AGENT_PROTO_VERSION)
        return agent_protocol_error(err);
    *ret_done = true;
    return 0;
}

int agent_call_ping(struct agent_client *client, int64_t deadline_usec, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};

    agent_outgoing_frame(&outgoing, AGENT_FRAME_PING, "", 0);
    return agent_channel_exchange(&client->channel, &outgoing, take_version, NULL, deadline_usec,
                                  err);
}

int agent_call_write(struct agent_client *client, const struct sandbox_files *files,
                     const struct agent_owner *owner, int64_t deadline_usec, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    struct agent_conversation conversation = {
        .files = files->items,
        .file_count = files->count,
    };

    if (files->count == 0)
        return 0;
    if (agent_request_writes(&outgoing, files, owner, err) < 0)
        return -1;
    if (agent_channel_exchange(&client->channel, &outgoing, agent_conversation_reply, &conversation,
                               deadline_usec, err) < 0)
        return -1;
    if (!conversation.failed)
        return 0;
    *err = conversation.failure;
    return -1;
}

int agent_call_read(struct agent_client *client, const char *path, const char *user, size_t max,
                    int64_t deadline_usec, char **ret_data, size_t *ret_size, struct error *err)
{
    /* One byte more than allowed tells a larger file, whatever size it claims. */
    const struct agent_read_message message = {
        .limit = (uint64_t)max + 1, .user = user, .path = path};
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(agent_reading_free) struct agent_reading reading = {.content.max = (uint64_t)max + 1};
    uint8_t payload[READ_SIZE];

    agent_outgoing_frame(&outgoing, AGENT_FRAME_READ, payload,
                         agent_read_encode(&message, payload, sizeof(payload)));
    if (agent_channel_exchange(&client->channel, &outgoing, agent_reading_reply, &reading,
                               deadline_usec, err) < 0)
        return -1;
    if (reading.failed) {
        *err = reading.failure;
        return error_wrap(err, "cannot read %.255s", path);
    }
    if (reading.content.size > max)
        return error_set(err, ERR_TOO_LARGE, "%.255s has more than %zu bytes", path, max);
    return agent_collected_take(&reading.content, ret_data, ret_size, err);
}
