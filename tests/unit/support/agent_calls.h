/* Calls of an agent that the product does not make, or not by themselves. */
#ifndef TESTS_UNIT_SUPPORT_AGENT_CALLS_H
#define TESTS_UNIT_SUPPORT_AGENT_CALLS_H

#include "lib/runtime/agent_client.h"

/* Asks whether the agent is there. */
int agent_call_ping(struct agent_client *client, int64_t deadline_usec, struct error *err);

/* Writes files, each whole or not at all, parents included. Stops being sure at the first error:
 * files after the one it names may have been written. */
int agent_call_write(struct agent_client *client, const struct sandbox_files *files,
                     const struct agent_owner *owner, int64_t deadline_usec, struct error *err);

/* Reads a regular file with the rights of `user`. ERR_TOO_LARGE when it has more than `max` bytes.
 * `ret_data` is allocated and NUL-terminated beyond its size. */
int agent_call_read(struct agent_client *client, const char *path, const char *user, size_t max,
                    int64_t deadline_usec, char **ret_data, size_t *ret_size, struct error *err);

#endif
