/*
 * WATCH: what changes in a folder, with the rights of one of the sandbox's users, until the
 * connection or the folder is gone.
 *
 * It is inotify(7) with its gaps closed. A folder is watched before it is read, so what comes into
 * a new one is either told by the kernel or found, or both; a move is told as one where the kernel
 * gives both halves. What cannot be told is an OVERFLOW: a reader that is too slow fills the
 * outbox, then the kernel's own bounded queue, and the kernel says so. All is watched anew then.
 *
 * The memory of a watch is mapped at its begin, a few megabytes at the most of which only what is
 * used is touched.
 */
#ifndef AGENT_FILE_WATCH_H
#define AGENT_FILE_WATCH_H

#include "agent/outbox.h"
#include "lib/agentproto/message.h"

#include <stdbool.h>
#include <stdint.h>

struct file_watch_state;

/* Zeroed, it is idle. */
struct file_watch {
    struct file_watch_state *state; /* NULL: idle */
    int64_t deadline_usec;          /* until when it has nothing to do without an event */
};

/* Begins to watch for the peer of this index. False with `ret_error` when that is not possible. */
bool file_watch_begin(struct file_watch *watch, const struct agent_file_message *message,
                      uint32_t peer, struct agent_error_message *ret_error);

/* There are events to be read. */
void file_watch_event(struct file_watch *watch);

enum file_watch_step {
    FILE_WATCH_WAITS, /* idle, nothing has changed, or the outbox is full */
    FILE_WATCH_MOVED,
    FILE_WATCH_DONE, /* over: the folder is gone */
};

/* Tells what has changed, a piece of it. */
enum file_watch_step file_watch_pump(struct file_watch *watch, struct outbox *outbox);

/* The connection is gone. */
void file_watch_abort(struct file_watch *watch);

#endif
