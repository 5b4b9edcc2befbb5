/*
 * The requests of agent_client.h as frames. What the protocol's bounds forbid is refused here, with
 * the field named, so that the agent never gets a reason to end the connection.
 */
#ifndef LIB_RUNTIME_AGENT_REQUEST_H
#define LIB_RUNTIME_AGENT_REQUEST_H

#include "lib/runtime/agent_channel.h"
#include "lib/runtime/agent_process.h"

/* Adds a WRITE for each file; their content must live until it is sent. */
int agent_request_writes(struct agent_outgoing *outgoing, const struct sandbox_files *files,
                         const struct agent_owner *owner, struct error *err);

/* Adds an EXEC that runs only if the `after` operations before it succeeded. */
int agent_request_exec(struct agent_outgoing *outgoing, const struct agent_exec_request *request,
                       size_t after, struct error *err);

/* Adds a START. */
int agent_request_start(struct agent_outgoing *outgoing, const struct agent_start_request *request,
                        struct error *err);

#endif
