/*
 * What waits to be sent on one connection: a bounded buffer of whole frames. Whoever fills it looks
 * for room first and stops when there is none; that is the whole of the back-pressure.
 */
#ifndef AGENT_OUTBOX_H
#define AGENT_OUTBOX_H

#include <atoll/agent_proto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OUTBOX_SIZE = AGENT_HEADER_SIZE + AGENT_FRAME_MAX,
    OUTBOX_CONTROL_MAX = 256, /* payload of the largest control frame */
    OUTBOX_DATA_MIN = 4096,   /* smaller data frames are not worth their header */
};

/* Zeroed, it is empty. */
struct outbox {
    size_t start; /* first byte that was not sent */
    size_t end;
    uint8_t data[OUTBOX_SIZE];
};

bool outbox_is_empty(const struct outbox *outbox);

/* Room for the payload of one more frame with at least `least` bytes; NULL when there is none. */
uint8_t *outbox_space(struct outbox *outbox, size_t least, size_t *ret_size);

/* Makes the `size` bytes that were stored in the space a frame. */
void outbox_commit(struct outbox *outbox, enum agent_frame_type type, size_t size);

/* Sends what the socket takes. 0 when all is gone, EAGAIN when the socket is full, or an errno. */
int outbox_flush(struct outbox *outbox, int fd);

#endif
