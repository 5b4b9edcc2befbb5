/*
 * What is done to one process without waiting for it, for an epoll loop: input, signals and sizes
 * over one connection, one operation after another.
 *
 *     agent_control_input() and the like begin an operation
 *     on each event of agent_control_fd(), and at once: agent_control_step() until it returns 1
 */
#ifndef LIB_RUNTIME_AGENT_CONTROL_H
#define LIB_RUNTIME_AGENT_CONTROL_H

#include "lib/runtime/agent_process.h"

struct agent_control;

/* Takes the client, also on failure. */
int agent_control_open(struct agent_client *client, const struct id *id,
                       struct agent_control **ret_control, struct error *err);

/* NULL is allowed. An operation under way may or may not happen. */
void agent_control_free(struct agent_control *control);

int agent_control_fd(const struct agent_control *control);

/* True while an operation is under way; no other may be begun then. */
bool agent_control_is_busy(const struct agent_control *control);

/* As agent_process_input and so on. The bytes must live until the operation is done. */
void agent_control_input(struct agent_control *control, const void *data, size_t size,
                         bool close_after);
void agent_control_signal(struct agent_control *control, int signum,
                          enum agent_signal_target target, bool final);
void agent_control_resize(struct agent_control *control, uint16_t rows, uint16_t columns);

/*
 * Goes on with the operation: 1 when it is done, 0 when the agent has not answered yet. Fails with
 * the agent's answer, after which another operation may be begun, or with ERR_UNAVAILABLE or
 * ERR_INTERNAL, after which the control is of no further use.
 */
int agent_control_step(struct agent_control *control, struct error *err);

#endif
