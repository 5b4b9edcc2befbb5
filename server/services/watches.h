/*
 * Streams of what changes in folders of containers (docs/api/files.md). One thread moves what the
 * sandboxes' agents tell into streams; a second finds out, when an agent is gone, whether its
 * sandbox has ended, which alone may be told as an end.
 *
 * Nothing is kept for a slow reader but his stream's queue: behind it the agent stops reading, and
 * what its kernel cannot keep comes as an overflow.
 */
#ifndef SERVER_SERVICES_WATCHES_H
#define SERVER_SERVICES_WATCHES_H

#include "lib/runtime/agent_watch.h"
#include "server/services/services.h"

#include <atoll/sandbox.h>

struct stream;
struct watches;

/* Starts the threads. `services` must outlive them. */
int watches_start(struct services *services, struct watches **ret_watches, struct error *err);

/* Stops them; their streams are broken. NULL is allowed. */
void watches_stop(struct watches *watches);

/* A part of a stream: an event of the folder, or why nothing follows. */
struct watch_part {
    const char *folder;                    /* absolute */
    const struct agent_watch_event *event; /* NULL at the end */
    bool is_removed;                       /* the end: the folder is gone, else the sandbox */
    enum sandbox_state state;              /* the end: of the sandbox */
};

/* A part as it stands in a stream, allocated, *ret_size bytes; NULL when memory is short. */
typedef char *(*watch_format)(const struct watch_part *part, size_t *ret_size);

/*
 * Watches a folder of a container that runs. The stream is the caller's; the threads have a
 * reference of their own. Errors as agent_watch_begin, and ERR_CONFLICT for a container that does
 * not run.
 */
int watches_begin(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct agent_watch_request *request, watch_format format,
                  const char *heartbeat, struct stream **ret_stream, struct error *err);

#endif
