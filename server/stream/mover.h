/*
 * One thread that moves many streams on: each takes what its source has and queues it for its
 * client, a few steps a turn, so that no stream holds up the others. A second thread does for them
 * what may block.
 *
 *   source      a connection to an agent, mostly: a descriptor that can be read (fd, receive)
 *   step        one part is formatted and queued, or the reason is told why that cannot be
 *   aside       the stream leaves the mover for the second thread, which ends it or hands it back
 *
 * A `struct moved` is the first member of what its owner keeps of a stream. One thread at a time
 * has it: who adds it, then the mover, between them the second thread. Whoever has it last frees it
 * by the owner's `free`.
 */
#ifndef SERVER_STREAM_MOVER_H
#define SERVER_STREAM_MOVER_H

#include "server/stream/stream.h"

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct mover;

struct moved {
    struct stream *stream; /* a reference, the owner's to drop */
    char *part;            /* formatted, not all of it queued; allocated, the owner's to free */
    size_t part_size;
    size_t part_used;
    /* The mover's alone: */
    bool is_added;   /* the source is known to epoll */
    bool is_armed;   /* it shall tell when it can be read */
    bool is_blocked; /* waits for room */
    bool is_queued;  /* on the list of those that can go on */
    TAILQ_ENTRY(moved) link;
    TAILQ_ENTRY(moved) turn;
};

enum mover_step {
    MOVER_MORE,        /* there may be another step at once */
    MOVER_NEEDS_INPUT, /* when the source can be read */
    MOVER_NEEDS_ROOM,  /* when the stream's queue has room */
    MOVER_ASIDE,       /* the second thread shall have it */
    MOVER_OVER,        /* it is to be freed */
};

struct mover_ops {
    const char *name;  /* of what is moved, for messages: "streams" */
    unsigned steps;    /* of one stream before the next one's turn */
    unsigned again_ms; /* after which `aside` is asked again */

    enum mover_step (*step)(struct moved *moved);
    /* The source's descriptor, which stays the same. */
    int (*fd)(const struct moved *moved);
    /* The source can be read, or has hung up. */
    void (*receive)(struct moved *moved);
    /* On the second thread: true when the stream was freed or handed back by mover_add, false when
     * it is to be asked about again after a moment. */
    bool (*aside)(struct moved *moved, void *user);
    void (*free)(struct moved *moved);

    /* The following may be NULL. */

    /* Whether there is something to do that no descriptor tells, beside a client that has left. */
    bool (*has_news)(const struct moved *moved);
    /* The mover has it now. It may add descriptors of its own to `epoll`, with `moved` as data. */
    void (*arrive)(struct moved *moved, int epoll);
    /* It is about to go aside: none of its descriptors may tell the mover anything. */
    void (*leave)(struct moved *moved);
};

/* `ops` and `user`, which is for `aside`, are borrowed until mover_stop. */
int mover_start(const struct mover_ops *ops, void *user, struct mover **ret_mover,
                struct error *err);

/* Breaks the streams that are left, and frees them. NULL is allowed. */
void mover_stop(struct mover *mover);

/* Hands one over, a new one or one from aside. Any thread. */
void mover_add(struct mover *mover, struct moved *moved);

/* A stream has room again, or news: for stream_set_wake. Any thread. */
void mover_wake(void *mover);

/* Queues what is left of the formatted part, and frees it when that was all. False while some of it
 * is left. */
bool moved_push(struct moved *moved);

#endif
