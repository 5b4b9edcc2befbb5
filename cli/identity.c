#include "cli/identity.h"

#include "cli/spawn.h"
#include <atoll/cleanup.h>
#include <errno.h>
#include <pwd.h>

int identity_find(const char *name, struct identity *ret_identity, bool *ret_found,
                  struct error *err)
{
    const struct passwd *user;

    errno = 0;
    user = getpwnam(name);
    if (!user && errno != 0 && errno != ENOENT)
        return error_set_errno(err, errno, "looking up the user %s", name);
    *ret_found = user != NULL;
    if (user)
        *ret_identity = (struct identity){.uid = user->pw_uid, .gid = user->pw_gid};
    return 0;
}

int identity_ensure(const char *name, struct identity *ret_identity, struct error *err)
{
    const char *argv[] = {"useradd",
                          "--system",
                          "--user-group",
                          "--no-create-home",
                          "--home-dir",
                          "/nonexistent",
                          "--shell",
                          "/usr/sbin/nologin",
                          "--",
                          name,
                          NULL};
    bool found = false;

    if (identity_find(name, ret_identity, &found, err) < 0)
        return -1;
    if (!found) {
        if (spawn_tool(argv, err) < 0 || identity_find(name, ret_identity, &found, err) < 0)
            return error_wrap(err, "making the system user %s", name);
    }
    if (!found)
        return error_set(err, ERR_INTERNAL, "the user %s is missing after it was made", name);
    if (ret_identity->uid == 0)
        return error_set(err, ERR_INTERNAL,
                         "state.user is root: the daemons need a user without "
                         "privileges");
    return 0;
}
