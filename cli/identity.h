/* The user that the unprivileged daemons run as. */
#ifndef CLI_IDENTITY_H
#define CLI_IDENTITY_H

#include <atoll/error.h>
#include <stdbool.h>
#include <sys/types.h>

struct identity {
    uid_t uid;
    gid_t gid;
};

/* Looks the user up; *ret_found tells a missing one from a failure. */
int identity_find(const char *name, struct identity *ret_identity, bool *ret_found,
                  struct error *err);

/* The same, and makes a system user without a login when there is none. Needs root. */
int identity_ensure(const char *name, struct identity *ret_identity, struct error *err);

#endif
