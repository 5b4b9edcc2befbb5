/*
 * Where the output of a process is read from: its agent, or the log on this host once there is no
 * agent that knows it. Internal to attach.c.
 */
#ifndef SERVER_SERVICES_ATTACH_SOURCE_H
#define SERVER_SERVICES_ATTACH_SOURCE_H

#include "lib/runtime/agent_attach.h"
#include "server/services/attach.h"

struct attach_source;

/* Opens it for the process from options->since on; the last lines are looked for first. */
int attach_source_open(struct services *services, const struct process_info *info,
                       const struct attach_options *options, struct attach_source **ret_source,
                       struct error *err);

/* Of the agent's connection: readable when there is more to receive; -1: of a log, which never
 * makes anybody wait. */
int attach_source_fd(const struct attach_source *source);

/* Takes what has arrived. */
int attach_source_receive(struct attach_source *source, struct error *err);

/* The next event (OUTPUT, or DONE at the end): 1; none before more is received: 0; or -1. */
int attach_source_next(struct attach_source *source, struct agent_attach_event *ret_event,
                       struct error *err);

/* NULL is allowed. */
void attach_source_free(struct attach_source *source);

#endif
