#include "lib/runtime/agent_channel.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_answer.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Bodies up to COPY_MAX are cheaper to copy than to send as a piece of their own. */
enum { COPY_MAX = 4096, CONTROL_FIRST = 4096, PIECES_FIRST = 16, GATHER_MAX = 64 };

/* `memory` with room for `needed` units, or NULL; it is then as it was. */
static void *reserve(void *memory, size_t *capacity, size_t needed, size_t first, size_t unit)
{
    size_t larger = *capacity ? *capacity : first;
    void *grown;

    if (memory && needed <= *capacity)
        return memory;
    while (larger < needed)
        larger *= 2;
    grown = reallocarray(memory, larger, unit);
    if (grown)
        *capacity = larger;
    return grown;
}

/* Appends a piece, or lengthens the last one when both are control bytes. */
static void add_piece(struct agent_outgoing *outgoing, const uint8_t *data, size_t offset,
                      size_t size)
{
    struct agent_piece *pieces = reserve(outgoing->pieces, &outgoing->piece_capacity,
                                         outgoing->piece_count + 1, PIECES_FIRST, sizeof(*pieces));
    struct agent_piece *last;

    if (!pieces) {
        outgoing->failed = true;
        return;
    }
    outgoing->pieces = pieces;
    last = outgoing->piece_count > 0 ? &pieces[outgoing->piece_count - 1] : NULL;
    if (!data && last && !last->data)
        last->size += size;
    else
        pieces[outgoing->piece_count++] =
            (struct agent_piece){.data = data, .offset = offset, .size = size};
}

static void add_control(struct agent_outgoing *outgoing, const void *data, size_t size)
{
    uint8_t *control;

    if (size == 0 || outgoing->failed)
        return;
    control = reserve(outgoing->control, &outgoing->control_capacity, outgoing->control_size + size,
                      CONTROL_FIRST, 1);
    if (!control) {
        outgoing->failed = true;
        return;
    }
    outgoing->control = control;
    memcpy(control + outgoing->control_size, data, size);
    add_piece(outgoing, NULL, outgoing->control_size, size);
    outgoing->control_size += size;
}

static void add_header(struct agent_outgoing *outgoing, enum agent_frame_type type, size_t size)
{
    uint8_t header[AGENT_HEADER_SIZE];

    agent_frame_header(header, type, (uint32_t)size);
    add_control(outgoing, header, sizeof(header));
}

void agent_outgoing_frame(struct agent_outgoing *outgoing, enum agent_frame_type type,
                          const void *payload, size_t size)
{
    add_header(outgoing, type, size);
    add_control(outgoing, payload, size);
}

static size_t at_most_a_frame(size_t size)
{
    return size < AGENT_FRAME_MAX ? size : AGENT_FRAME_MAX;
}

void agent_outgoing_body(struct agent_outgoing *outgoing, const void *data, size_t size)
{
    const uint8_t *next = data;

    while (next && size > 0 && !outgoing->failed) {
        size_t chunk = at_most_a_frame(size);

        add_header(outgoing, AGENT_FRAME_DATA, chunk);
        if (chunk <= COPY_MAX)
            add_control(outgoing, next, chunk);
        else
            add_piece(outgoing, next, 0, chunk);
        next += chunk;
        size -= chunk;
    }
    add_header(outgoing, AGENT_FRAME_END, 0);
}

void agent_outgoing_request(struct agent_outgoing *outgoing, enum agent_frame_type type,
                            const uint8_t *payload, size_t size)
{
    while (size > 0 && !outgoing->failed) {
        size_t chunk = at_most_a_frame(size);

        agent_outgoing_frame(outgoing, type, payload, chunk);
        type = AGENT_FRAME_MORE;
        payload += chunk;
        size -= chunk;
    }
}

void agent_outgoing_free(struct agent_outgoing *outgoing)
{
    free(outgoing->control);
    free(outgoing->pieces);
    memset(outgoing, 0, sizeof(*outgoing));
}

static bool all_sent(const struct agent_outgoing *outgoing)
{
    return outgoing->next == outgoing->piece_count;
}

static void advance(struct agent_outgoing *outgoing, size_t sent)
{
    while (sent > 0) {
        struct agent_piece *piece = &outgoing->pieces[outgoing->next];
        size_t part = sent < piece->size ? sent : piece->size;

        if (piece->data)
            piece->data += part;
        piece->offset += part;
        piece->size -= part;
        sent -= part;
        if (piece->size == 0)
            outgoing->next++;
    }
}

static ssize_t send_some(int fd, const struct agent_outgoing *outgoing)
{
    struct iovec vectors[GATHER_MAX];
    struct msghdr message = {.msg_iov = vectors};

    for (size_t i = outgoing->next; i < outgoing->piece_count && message.msg_iovlen < GATHER_MAX;
         i++) {
        const struct agent_piece *piece = &outgoing->pieces[i];
        const uint8_t *data = piece->data ? piece->data : outgoing->control + piece->offset;

        vectors[message.msg_iovlen++] =
            (struct iovec){.iov_base = (void *)data, .iov_len = piece->size};
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_pending(struct agent_channel *channel, struct agent_outgoing *outgoing,
                        struct error *err)
{
    while (!all_sent(outgoing)) {
        ssize_t sent = send_some(channel->fd, outgoing);

        if (sent >= 0) {
            advance(outgoing, (size_t)sent);
            continue;
        }
        if (errno == EAGAIN)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EPIPE && errno != ECONNRESET)
            return error_set_errno(err, errno, "cannot send to the sandbox's agent");
        /* Its last words may still be there to read; the end of file follows them. */
        outgoing->next = outgoing->piece_count;
        channel->broken = true;
    }
    return 0;
}

int agent_channel_send(struct agent_channel *channel, struct agent_outgoing *outgoing,
                       bool *ret_done, struct error *err)
{
    if (outgoing->failed)
        return error_set_errno(err, ENOMEM, "cannot make the request to the sandbox's agent");
    if (send_pending(channel, outgoing, err) < 0)
        return -1;
    *ret_done = all_sent(outgoing);
    return 0;
}

int agent_channel_receive(struct agent_channel *channel, struct error *err)
{
    size_t size;
    uint8_t *space = agent_buffer_space(&channel->buffer, &size);
    ssize_t got = recv(channel->fd, space, size, MSG_DONTWAIT);

    if (got > 0) {
        agent_buffer_filled(&channel->buffer, (size_t)got);
        return 0;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got < 0 && errno != ECONNRESET)
        return error_set_errno(err, errno, "cannot receive from the sandbox's agent");
    channel->lost = true;
    return error_set(err, ERR_UNAVAILABLE, "the sandbox ended before its agent had answered");
}

/* *ret_ready is false when nothing came until then. */
static int wait_until(const struct agent_channel *channel, const struct agent_outgoing *outgoing,
                      int64_t until_usec, bool *ret_ready, struct error *err)
{
    struct pollfd watched = {
        .fd = channel->fd,
        .events = (short)(POLLIN | (all_sent(outgoing) ? 0 : POLLOUT)),
    };
    int left = deadline_left_ms(until_usec);
    int ready = left > 0 ? poll(&watched, 1, left) : 0;

    if (ready < 0 && errno != EINTR)
        return error_set_errno(err, errno, "cannot wait for the sandbox's agent");
    *ret_ready = ready != 0;
    return 0;
}

static int wait_ready(struct agent_channel *channel, const struct agent_outgoing *outgoing,
                      int64_t deadline_usec, struct error *err)
{
    bool ready = false;

    if (wait_until(channel, outgoing, deadline_usec, &ready, err) < 0)
        return -1;
    if (ready)
        return 0;
    channel->late = true;
    return error_set(err, ERR_UNAVAILABLE, "the sandbox's agent was not done in time");
}

/* How long an exchange may take. */
struct patience {
    int64_t deadline_usec;
    const struct agent_notice *notice; /* NULL: none, or no more */
    int64_t notice_usec;               /* the time of its next call */
};

static void give_notice(struct patience *patience)
{
    int64_t begun = monotonic_usec();
    bool done = patience->notice->call(patience->notice->user);
    int64_t now = monotonic_usec();

    patience->deadline_usec += now - begun;
    patience->notice_usec = now + patience->notice->after_usec;
    if (done)
        patience->notice = NULL;
}

static int wait_patiently(struct agent_channel *channel, const struct agent_outgoing *outgoing,
                          struct patience *patience, struct error *err)
{
    while (patience->notice && patience->notice_usec < patience->deadline_usec) {
        bool ready = false;

        if (wait_until(channel, outgoing, patience->notice_usec, &ready, err) < 0)
            return -1;
        if (ready)
            return 0;
        give_notice(patience);
    }
    return wait_ready(channel, outgoing, patience->deadline_usec, err);
}

/* Hands over the frames that have arrived. */
static int deliver(struct agent_channel *channel, agent_reply_fn reply, void *context,
                   bool *ret_done, struct error *err)
{
    while (!*ret_done) {
        struct agent_frame frame;
        int found = agent_next_frame(&channel->buffer, &frame, err);

        if (found <= 0)
            return found;
        if (reply(context, &frame, ret_done, err) < 0)
            return -1;
    }
    return 0;
}

static int run_exchange(struct agent_channel *channel, struct agent_outgoing *outgoing,
                        agent_reply_fn reply, void *context, struct patience *patience,
                        struct error *err)
{
    bool done = false;

    for (;;) {
        if (send_pending(channel, outgoing, err) < 0)
            return -1;
        if (wait_patiently(channel, outgoing, patience, err) < 0)
            return -1;
        if (agent_channel_receive(channel, err) < 0)
            return -1;
        if (deliver(channel, reply, context, &done, err) < 0)
            return -1;
        if (done)
            return 0;
    }
}

static int check_ready(struct agent_channel *channel, const struct agent_outgoing *outgoing,
                       struct error *err)
{
    channel->late = false;
    if (outgoing->failed)
        return error_set_errno(err, ENOMEM, "cannot make the request to the sandbox's agent");
    if (channel->broken)
        return error_set(err, ERR_UNAVAILABLE, "the connection to the sandbox's agent is broken");
    if (channel->buffer.start == channel->buffer.end)
        return 0;
    channel->broken = true;
    return error_set(err, ERR_INTERNAL, "the sandbox's agent answered what was not asked");
}

int agent_channel_exchange_noticed(struct agent_channel *channel, struct agent_outgoing *outgoing,
                                   agent_reply_fn reply, void *context, int64_t deadline_usec,
                                   const struct agent_notice *notice, struct error *err)
{
    struct patience patience = {
        .deadline_usec = deadline_usec,
        .notice = notice,
        .notice_usec = notice ? monotonic_usec() + notice->after_usec : 0,
    };
    int result;

    if (check_ready(channel, outgoing, err) < 0)
        return -1;
    result = run_exchange(channel, outgoing, reply, context, &patience, err);
    /* An answer before the whole request was sent leaves the agent waiting for the rest. */
    if (result < 0 || !all_sent(outgoing))
        channel->broken = true;
    return result;
}

int agent_channel_exchange(struct agent_channel *channel, struct agent_outgoing *outgoing,
                           agent_reply_fn reply, void *context, int64_t deadline_usec,
                           struct error *err)
{
    return agent_channel_exchange_noticed(channel, outgoing, reply, context, deadline_usec, NULL,
                                          err);
}

/* A transfer under way. */
struct transfer {
    const struct agent_source *source; /* NULL: there is no more */
    uint8_t *piece;                    /* AGENT_FRAME_MAX bytes, what is being sent of the body */
    int64_t patience_usec;
};

/* Makes the next piece of the body, or its end, what is to be sent. */
static int take_piece(struct transfer *transfer, struct agent_outgoing *outgoing, struct error *err)
{
    ssize_t size =
        transfer->source->read(transfer->source->context, transfer->piece, AGENT_FRAME_MAX, err);

    if (size < 0)
        return -1;
    outgoing->control_size = outgoing->piece_count = outgoing->next = 0;
    add_header(outgoing, size > 0 ? AGENT_FRAME_DATA : AGENT_FRAME_END, (size_t)size);
    if (size > 0 && !outgoing->failed)
        add_piece(outgoing, transfer->piece, 0, (size_t)size);
    else
        transfer->source = NULL;
    return outgoing->failed
               ? error_set_errno(err, ENOMEM, "cannot send the body to the sandbox's agent")
               : 0;
}

static int run_transfer(struct agent_channel *channel, struct agent_outgoing *outgoing,
                        struct transfer *transfer, agent_reply_fn reply, void *context,
                        struct error *err)
{
    bool done = false;

    while (!done) {
        if (all_sent(outgoing) && transfer->source && take_piece(transfer, outgoing, err) < 0)
            return -1;
        if (send_pending(channel, outgoing, err) < 0)
            return -1;
        if ((!all_sent(outgoing) || !transfer->source) &&
            wait_ready(channel, outgoing, monotonic_usec() + transfer->patience_usec, err) < 0)
            return -1;
        if (agent_channel_receive(channel, err) < 0 ||
            deliver(channel, reply, context, &done, err) < 0)
            return -1;
    }
    return 0;
}

int agent_channel_transfer(struct agent_channel *channel, struct agent_outgoing *outgoing,
                           const struct agent_source *source, agent_reply_fn reply, void *context,
                           int64_t patience_usec, struct error *err)
{
    _cleanup_free_ uint8_t *piece = source ? malloc(AGENT_FRAME_MAX) : NULL;
    struct transfer transfer = {
        .source = source,
        .piece = piece,
        .patience_usec = patience_usec,
    };
    int result;

    if (source && !piece)
        return error_set_errno(err, ENOMEM, "cannot send the body to the sandbox's agent");
    if (check_ready(channel, outgoing, err) < 0)
        return -1;
    result = run_transfer(channel, outgoing, &transfer, reply, context, err);
    channel->broken |= result < 0 || !all_sent(outgoing) || transfer.source;
    return result;
}
