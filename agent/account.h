/*
 * Whom a client means by a user: a name of the sandbox's own /etc/passwd, or "uid:gid".
 *
 * The files belong to the sandbox and are hostile: they are read without blocking, in bounded
 * pieces, and a line that does not parse is passed over.
 */
#ifndef AGENT_ACCOUNT_H
#define AGENT_ACCOUNT_H

#include <atoll/agent_proto.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { ACCOUNT_GROUPS_MAX = 64, ACCOUNT_HOME_MAX = 256 };

/* "uid:gid" has no name, no home and no supplementary groups. */
struct account {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[ACCOUNT_GROUPS_MAX];
    char name[AGENT_USER_MAX];
    char home[ACCOUNT_HOME_MAX];
};

/*
 * Returns 0 or an errno: ENOENT when there is no such name, EINVAL for a malformed id or one above
 * 2^31 - 1 (so that -1, which the kernel takes for "leave as it is", is never meant).
 */
int account_resolve(const char *user, struct account *ret_account);

/*
 * The name of an id in a database of the form of passwd(5) or group(5): the third field is the id.
 * Makes `name` "" when there is none, or one that is too long.
 */
void account_find_name(const char *database, uint32_t id, char *name, size_t size);

/*
 * Makes the kernel check file accesses of this process as the account's (setfsuid(2), and without
 * the capabilities that would override), until account_leave. Root needs neither. Returns 0 or an
 * errno, after which account_leave need not be called.
 */
int account_enter(const struct account *account);
void account_leave(const struct account *account);

#endif
