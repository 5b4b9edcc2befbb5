/* The folders, the lock and the key that `atoll dev` works with. All of it is made by root. */
#ifndef CLI_DEV_STATE_H
#define CLI_DEV_STATE_H

#include "cli/identity.h"
#include "lib/config/config.h"

/*
 * Makes <state>, <state>/auth, <run_dir>, <run_dir>/server and <run_dir>/postgres with their
 * owners, and takes the lock of the state folder: *ret_lock_fd holds it until it is closed. A
 * second `atoll dev` on the same state gets ERR_CONFLICT.
 */
int dev_state_prepare(const struct config *config, const struct identity *identity,
                      int *ret_lock_fd, struct error *err);

/*
 * Makes the HS256 key (64 hex digits of 32 random bytes) when the file is missing; it is root's
 * and readable for the service's group.
 */
int dev_state_ensure_key(const char *path, const struct identity *identity, struct error *err);

#endif
