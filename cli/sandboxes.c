#include "cli/sandboxes.h"

#include "lib/runtime/launcher_client.h"
#include <atoll/log.h>
#include <errno.h>
#include <stdio.h>

enum { CALL_TIMEOUT_MS = 10000 };

DEFINE_CLEANUP(struct launcher_client *, launcher_client, launcher_client_free)

bool sandboxes_exist(const struct config *config)
{
    _cleanup_closedir_ DIR *dir = NULL;
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", config->state_run_dir, LAUNCHER_SANDBOXES_DIR);
    dir = opendir(path);
    if (!dir)
        return errno != ENOENT;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] != '.')
            return true;
    }
    return false;
}

/* One that does not end keeps none of the others. */
static int destroy_all(const struct config *config, struct error *err)
{
    _cleanup_(cleanup_launcher_client) struct launcher_client *client = NULL;
    _cleanup_free_ struct launcher_entry *entries = NULL;
    int status = 0;
    size_t count;

    if (launcher_client_open(config->state_run_dir, CALL_TIMEOUT_MS, &client, err) < 0 ||
        launcher_client_list(client, &entries, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct error failure;

        if (launcher_client_destroy(client, &entries[i].id, entries[i].generation, NULL,
                                    &failure) == 0 ||
            failure.code == ERR_NOT_FOUND)
            continue;
        *err = failure;
        status = -1;
    }
    return status;
}

void sandboxes_destroy_all(const struct config *config)
{
    struct error err;

    /* Without a folder no launcher ran that could have made one. */
    if (sandboxes_exist(config) && destroy_all(config, &err) < 0)
        log_warn("sandboxes may be left: %s", err.message);
}
