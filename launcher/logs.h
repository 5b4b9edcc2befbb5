/*
 * Log folders: `<state_dir>/logs/<32 hex digits>/<generation>`, one a generation of a sandbox that
 * keeps logs. They outlive it until the client has them removed.
 *
 * The agent writes there as its sandbox's root, so whatever is in one is hostile: any names, any
 * depth, any number, links to anywhere. What is to go is renamed into `<state_dir>/logs/removed`,
 * which is its end for everybody else, and is taken apart in idle time, a bounded piece a call. A
 * folder that is not empty is moved up beside the one it was found in: no depth is walked, no path
 * is resolved, and two folders at most are open. A launcher finds at its start what the last one
 * left there.
 */
#ifndef LAUNCHER_LOGS_H
#define LAUNCHER_LOGS_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct log_host {
    int folder;         /* <state_dir>/logs, by a mount that can be cloned; borrowed */
    int removed;        /* `removed` in it */
    uint64_t next_name; /* in `removed` */
    DIR *pending;       /* goes over `removed`; NULL: nothing is to be done */
    bool pass_removed;  /* since it last began */
    DIR *current;       /* one folder of it; NULL: none yet */
    bool current_removed;
    char current_name[NAME_MAX + 1];
};

/* Takes over what is left in `removed`. */
int logs_open(int folder, struct log_host *ret_logs, struct error *err);

/*
 * Makes the folder of a generation, written by `uid` and read by `gid`. Returns it as a detached
 * mount, or -1 and errno: EEXIST when it is there.
 */
int logs_make(const struct log_host *logs, const struct id *id, uint32_t generation, uid_t uid,
              gid_t gid);

/* Takes back a folder that nobody has written to. */
void logs_unmake(const struct log_host *logs, const struct id *id, uint32_t generation);

/* Removes the folder of a generation, of all with 0. -1 and errno: ENOENT when there is none. */
int logs_remove(struct log_host *logs, const struct id *id, uint32_t generation);

/* Whether logs_work has something to do. */
bool logs_pending(const struct log_host *logs);

/* A bounded piece of the work, less than a millisecond of it. */
void logs_work(struct log_host *logs);

#endif
