/*
 * The transport under agent_client.h: what is to be sent, gathered without copying large bodies,
 * and the exchange of it for the agent's frames against a deadline. Sending and receiving go on
 * together, so neither side can block the other for ever.
 */
#ifndef LIB_RUNTIME_AGENT_CHANNEL_H
#define LIB_RUNTIME_AGENT_CHANNEL_H

#include "lib/agentproto/frame.h"

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct agent_channel {
    int fd;
    bool lost;   /* the agent closed its end */
    bool late;   /* the deadline of the last exchange passed before the agent had answered */
    bool broken; /* the two sides may disagree on where they are: no further call */
    struct agent_buffer buffer;
};

/* Either own bytes (in `control`) or a view of the caller's. */
struct agent_piece {
    const uint8_t *data; /* NULL: at `offset` of the control bytes */
    size_t offset;
    size_t size;
};

/* Frames to send, in order. Zeroed, it is empty. A failed allocation is kept in `failed`. */
struct agent_outgoing {
    uint8_t *control;
    size_t control_size;
    size_t control_capacity;
    struct agent_piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    size_t next; /* first piece that is not sent */
    bool failed;
};

/* Adds one frame; its payload is copied. */
void agent_outgoing_frame(struct agent_outgoing *outgoing, enum agent_frame_type type,
                          const void *payload, size_t size);

/* Adds `size` bytes as DATA frames and an END; the bytes must live until they are sent. NULL is an
 * empty body. */
void agent_outgoing_body(struct agent_outgoing *outgoing, const void *data, size_t size);

/* Room for `size` bytes of payload of a frame that may be split: fills in the headers of `type`
 * and, behind the first, of MORE. The bytes are copied. */
void agent_outgoing_request(struct agent_outgoing *outgoing, enum agent_frame_type type,
                            const uint8_t *payload, size_t size);

void agent_outgoing_free(struct agent_outgoing *outgoing);

/* Sends what the socket takes, without waiting. True in *ret_done when nothing is left. */
int agent_channel_send(struct agent_channel *channel, struct agent_outgoing *outgoing,
                       bool *ret_done, struct error *err);

/* Takes what has arrived into the buffer, without waiting. All whole frames must have been taken.
 * ERR_UNAVAILABLE when the agent is gone. */
int agent_channel_receive(struct agent_channel *channel, struct error *err);

/* Takes one frame of the reply; sets `ret_done` with the last one. -1 breaks the exchange off. */
typedef int (*agent_reply_fn)(void *context, const struct agent_frame *frame, bool *ret_done,
                              struct error *err);

/* Called when an exchange is not over after `after_usec`, and so long after each call again until
 * it returns true. What it takes is added to the exchange's deadline. */
struct agent_notice {
    bool (*call)(void *user);
    void *user;
    int64_t after_usec;
};

/* As agent_channel_exchange, with a notice; NULL: none. */
int agent_channel_exchange_noticed(struct agent_channel *channel, struct agent_outgoing *outgoing,
                                   agent_reply_fn reply, void *context, int64_t deadline_usec,
                                   const struct agent_notice *notice, struct error *err);

/* Sends everything and hands each frame that comes back to `reply`, until that is done. */
int agent_channel_exchange(struct agent_channel *channel, struct agent_outgoing *outgoing,
                           agent_reply_fn reply, void *context, int64_t deadline_usec,
                           struct error *err);

/* A body that is given piece by piece. */
struct agent_source {
    /* The next bytes, at most `size`; 0 at the body's end. It may wait, -1 breaks the exchange
     * off. */
    ssize_t (*read)(void *context, void *buffer, size_t size, struct error *err);
    void *context;
};

/*
 * As agent_channel_exchange, with a body behind what is to be sent (NULL: none) and without an end
 * in time: the agent has to take or to send something at least each `patience_usec`. A reply that
 * waits holds the agent back. An answer before the body's end ends the exchange.
 */
int agent_channel_transfer(struct agent_channel *channel, struct agent_outgoing *outgoing,
                           const struct agent_source *source, agent_reply_fn reply, void *context,
                           int64_t patience_usec, struct error *err);

#endif
