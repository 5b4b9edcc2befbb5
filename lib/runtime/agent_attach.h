/*
 * Reading a process's output from an offset on: what its log has, then, if asked, what it writes
 * until it ends. Made for an epoll loop; any number of them may read one process, and none slows it
 * or another.
 *
 *     watch agent_attach_fd() for EPOLLIN
 *     on each event:  agent_attach_receive(), then agent_attach_next() until it returns 0
 *
 * Offsets only grow. A jump means output that is gone: `gap` says how much.
 */
#ifndef LIB_RUNTIME_AGENT_ATTACH_H
#define LIB_RUNTIME_AGENT_ATTACH_H

#include "lib/runtime/agent_process.h"

struct agent_attach;

enum agent_attach_kind {
    AGENT_ATTACH_STATE,  /* first: what is known of the process now */
    AGENT_ATTACH_OUTPUT, /* bytes */
    AGENT_ATTACH_DONE,   /* last: all was sent; `process` says whether it has ended */
};

struct agent_attach_event {
    enum agent_attach_kind kind;
    struct agent_process process; /* STATE and DONE */
    enum agent_stream stream;     /* OUTPUT, like the following */
    uint64_t offset;              /* of the first byte, among all output */
    uint64_t stream_offset;       /* of the first byte, in its stream */
    uint64_t gap;                 /* bytes before it that were wanted and are gone */
    int64_t time_usec;            /* Unix time at which it was read from the process */
    const void *bytes;            /* valid until the next agent_attach_receive */
    size_t size;
};

struct agent_attach_options {
    uint64_t offset; /* of the first byte wanted; AGENT_ATTACH_END: only what comes from now on */
    bool follow;     /* go on until the process has ended; else until the log's present end */
    bool no_stdout;
    bool no_stderr;
};

/* Takes the client, also on failure. */
int agent_attach_begin(struct agent_client *client, const struct id *id,
                       const struct agent_attach_options *options, struct agent_attach **ret_attach,
                       struct error *err);

int agent_attach_fd(const struct agent_attach *attach);

/* Takes what has arrived, without waiting. ERR_UNAVAILABLE when the agent is gone. */
int agent_attach_receive(struct agent_attach *attach, struct error *err);

/* The next event: 1, none yet: 0, or -1. After DONE there is none. ERR_NOT_FOUND when there is no
 * such process (any more). */
int agent_attach_next(struct agent_attach *attach, struct agent_attach_event *ret_event,
                      struct error *err);

/* Ends the reading; the process does not notice. NULL is allowed. */
void agent_attach_free(struct agent_attach *attach);

#endif
