#include "lib/runtime/agent_watch.h"

#include "lib/agentproto/message.h"
#include "lib/base/util.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_check.h"
#include "lib/runtime/agent_client_private.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_MAX = AGENT_HEADER_SIZE + 32 + AGENT_USER_MAX + AGENT_PATH_MAX };

struct agent_watch {
    struct agent_client *client;
    bool has_first; /* `first` is to be told */
    bool done;
    struct agent_watch_event first;
};

DEFINE_CLEANUP(struct agent_watch *, agent_watch, agent_watch_free)

/* A new connection's buffer has room for so small a request. */
static int send_request(const struct agent_watch *watch, const struct agent_watch_request *request,
                        struct error *err)
{
    const struct agent_file_message message = {
        .flags = request->recursive ? AGENT_FILE_RECURSIVE : 0u,
        .user = request->user,
        .path = request->path,
        .target = "",
    };
    uint8_t frame[REQUEST_MAX];
    size_t size =
        agent_file_encode(&message, frame + AGENT_HEADER_SIZE, sizeof(frame) - AGENT_HEADER_SIZE);

    agent_frame_header(frame, AGENT_FRAME_WATCH, (uint32_t)size);
    size += AGENT_HEADER_SIZE;
    if (send(watch->client->channel.fd, frame, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
        return error_set(err, ERR_UNAVAILABLE, "cannot send to the sandbox's agent");
    return 0;
}

static int take_change(const struct agent_frame *frame, struct agent_watch_event *ret_event,
                       struct error *err)
{
    struct agent_change_message message;

    if (!agent_change_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    *ret_event = (struct agent_watch_event){
        .kind = (enum agent_change_kind)message.kind,
        .is_folder = message.flags & AGENT_CHANGE_FOLDER,
        .is_unwatched = message.flags & AGENT_CHANGE_UNWATCHED,
        .path = message.path,
        .target = message.target,
    };
    return 1;
}

static int take_frame(struct agent_watch *watch, const struct agent_frame *frame,
                      struct agent_watch_event *ret_event, struct error *err)
{
    struct error failure;
    uint64_t value;

    switch (frame->type) {
    case AGENT_FRAME_CHANGE:
        return take_change(frame, ret_event, err);
    case AGENT_FRAME_DONE:
        if (!agent_done_decode(frame->payload, frame->size, &value))
            return agent_protocol_error(err);
        watch->done = true;
        *ret_event = (struct agent_watch_event){.is_end = true};
        return 1;
    case AGENT_FRAME_ERROR:
        if (agent_take_file_failure(frame, "it cannot be watched", &failure, err) == 0)
            *err = failure;
        return -1;
    default:
        return agent_protocol_error(err);
    }
}

int agent_watch_next(struct agent_watch *watch, struct agent_watch_event *ret_event,
                     struct error *err)
{
    struct agent_frame frame;
    int found;

    if (watch->has_first) {
        watch->has_first = false;
        *ret_event = watch->first;
        return 1;
    }
    if (watch->done)
        return 0;
    found = agent_next_frame(&watch->client->channel.buffer, &frame, err);
    return found > 0 ? take_frame(watch, &frame, ret_event, err) : found;
}

static int await_first(struct agent_watch *watch, int64_t deadline_usec, struct error *err)
{
    int found;

    while ((found = agent_watch_next(watch, &watch->first, err)) == 0) {
        struct pollfd poller = {.fd = agent_watch_fd(watch), .events = POLLIN};

        if (poll(&poller, 1, deadline_left_ms(deadline_usec)) < 1)
            return error_set(err, ERR_UNAVAILABLE, "the sandbox's agent does not answer in time");
        if (agent_watch_receive(watch, err) < 0)
            return -1;
    }
    watch->has_first = found > 0;
    return found > 0 ? 0 : -1;
}

int agent_watch_begin(struct agent_client *client, const struct agent_watch_request *request,
                      int64_t deadline_usec, struct agent_watch **ret_watch, struct error *err)
{
    _cleanup_(cleanup_agent_watch) struct agent_watch *watch = calloc(1, sizeof(*watch));

    if (!watch) {
        agent_client_free(client);
        return error_set_errno(err, ENOMEM, "cannot watch a folder");
    }
    watch->client = client;
    if (agent_check_user(request->user, err) < 0 ||
        agent_check_path("path", request->path, err) < 0 || send_request(watch, request, err) < 0 ||
        await_first(watch, deadline_usec, err) < 0)
        return -1;
    *ret_watch = TAKE_PTR(watch);
    return 0;
}

int agent_watch_fd(const struct agent_watch *watch)
{
    return watch->client->channel.fd;
}

int agent_watch_receive(struct agent_watch *watch, struct error *err)
{
    return agent_channel_receive(&watch->client->channel, err);
}

bool agent_watch_lost(const struct agent_watch *watch)
{
    return agent_client_lost(watch->client);
}

void agent_watch_free(struct agent_watch *watch)
{
    if (!watch)
        return;
    agent_client_free(watch->client);
    free(watch);
}
