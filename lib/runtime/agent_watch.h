/*
 * What changes in a folder of a sandbox, as its agent tells it (docs/agent-protocol.md, WATCH).
 * Made for an epoll loop:
 *
 *     watch agent_watch_fd() for EPOLLIN
 *     on each event:  agent_watch_receive(), then agent_watch_next() until it returns 0
 *
 * A reader that takes nothing makes the agent stop reading: what the kernel cannot keep then comes
 * as an OVERFLOW. Nothing is kept here but one buffer.
 */
#ifndef LIB_RUNTIME_AGENT_WATCH_H
#define LIB_RUNTIME_AGENT_WATCH_H

#include "lib/runtime/agent_client.h"

#include <atoll/agent_proto.h>

struct agent_watch;

/* Borrowed for the call. */
struct agent_watch_request {
    const char *user; /* a name inside the sandbox, or "uid:gid" */
    const char *path; /* absolute, of a folder */
    bool recursive;   /* also what is below it */
};

struct agent_watch_event {
    bool is_end; /* the folder is gone; nothing follows, and the rest is not set */
    enum agent_change_kind kind;
    bool is_folder;
    bool is_unwatched;  /* OVERFLOW: the folder at the path is not watched, by a bound */
    const char *path;   /* below the folder, any bytes but NUL; valid until the next receive */
    const char *target; /* MOVE: where it is now; else "" */
};

/*
 * Begins, and waits for the first event: an error of the folder's own comes from here and has the
 * field "path" (lib/runtime/agent_files.h). ERR_TOO_MANY when the sandbox has AGENT_WATCHES_MAX
 * already, ERR_UNAVAILABLE when its host has no room for another. Takes the client, also on
 * failure.
 */
int agent_watch_begin(struct agent_client *client, const struct agent_watch_request *request,
                      int64_t deadline_usec, struct agent_watch **ret_watch, struct error *err);

int agent_watch_fd(const struct agent_watch *watch);

/* Takes what has arrived, without waiting. ERR_UNAVAILABLE when the agent is gone. */
int agent_watch_receive(struct agent_watch *watch, struct error *err);

/* The next event: 1, none yet: 0, or -1. */
int agent_watch_next(struct agent_watch *watch, struct agent_watch_event *ret_event,
                     struct error *err);

/* True when the agent closed the connection: the sandbox ended. */
bool agent_watch_lost(const struct agent_watch *watch);

/* Ends the watching. NULL is allowed. */
void agent_watch_free(struct agent_watch *watch);

#endif
