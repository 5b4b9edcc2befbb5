#include "agent/outbox.h"

#include "lib/agentproto/frame.h"

#include <errno.h>
#include <sys/socket.h>

bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->start == outbox->end;
}

uint8_t *outbox_space(struct outbox *outbox, size_t least, size_t *ret_size)
{
    size_t room;

    if (outbox_is_empty(outbox))
        outbox->start = outbox->end = 0;
    room = sizeof(outbox->data) - outbox->end;
    if (room < AGENT_HEADER_SIZE + least)
        return NULL;
    *ret_size = room - AGENT_HEADER_SIZE;
    return outbox->data + outbox->end + AGENT_HEADER_SIZE;
}

void outbox_commit(struct outbox *outbox, enum agent_frame_type type, size_t size)
{
    agent_frame_header(outbox->data + outbox->end, type, (uint32_t)size);
    outbox->end += AGENT_HEADER_SIZE + size;
}

int outbox_flush(struct outbox *outbox, int fd)
{
    while (!outbox_is_empty(outbox)) {
        ssize_t sent = send(fd, outbox->data + outbox->start, outbox->end - outbox->start,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno;
        outbox->start += (size_t)sent;
    }
    return 0;
}
