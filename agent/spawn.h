/*
 * Making a command's process: its session, identity, limits and descriptors, then exec.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include "agent/account.h"

#include <stdbool.h>
#include <stdint.h>

/* Where a child notes why it did not come to be: memory shared with the agent. Zero: it did. */
struct spawn_report {
    uint32_t stage; /* enum agent_stage */
    uint32_t errnum;
};

struct spawn_request {
    const char *const *argv; /* NULL-terminated, like env */
    const char *const *env;
    const char *cwd;
    const struct account *account;
    int fds[3];    /* become 0, 1, 2; -1 leaves the agent's /dev/null there */
    bool terminal; /* fds[0] becomes the controlling terminal */
    uint64_t mark; /* of its tree */
    bool alone;    /* no other process lives in the sandbox */
    bool archive;  /* the program is AGENT_FD_ARCHIVE's, whatever argv[0] is */
};

/*
 * Gives up for good what no command may get: in `strict` the whole bounding set, new privileges at
 * an exec and what root's uid would bring; else what is not on the list of `dev` and in
 * `capabilities` (bit n is capability n). The agent keeps what it holds. 0 or an errno.
 */
int spawn_init(bool strict, uint64_t capabilities);

/*
 * Starts the process. Returns 0 or the errno of fork; all later failures are in `report` when the
 * child has ended. The request is not used after the return.
 */
int spawn_process(const struct spawn_request *request, volatile struct spawn_report *report,
                  pid_t *ret_pid);

#endif
