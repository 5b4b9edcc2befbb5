/* Logs of processes: those of sandboxes that are gone, and those that are older than their time. */
#include "lib/base/util.h"
#include "lib/db/store_container_system.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    BATCH = 256,            /* generations asked about at once */
    REMOVED_A_ROUND = 1024, /* the worker has other things to do */
};

struct sweep {
    struct worker *worker;
    struct store_generation batch[BATCH];
    size_t count;
    struct worker_round round;
};

static int remove_forgotten(struct sweep *sweep, struct error *err)
{
    struct worker *worker = sweep->worker;
    size_t count = sweep->count;

    sweep->count = 0;
    if (count == 0)
        return 0;
    if (store_generations_forgotten(worker->pool, (uint32_t)worker->config->sandbox_log_retention_s,
                                    sweep->batch, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        /* One that lives without a row is the sweep of orphans' to end first. */
        if (launcher_client_remove_logs(worker->launcher, &sweep->batch[i].id,
                                        sweep->batch[i].generation, err) == 0)
            sweep->round.done++;
        else if (err->code != ERR_NOT_FOUND && err->code != ERR_CONFLICT)
            return -1;
    }
    return 0;
}

static int add(struct sweep *sweep, const struct id *id, uint32_t generation, struct error *err)
{
    sweep->batch[sweep->count++] = (struct store_generation){.id = *id, .generation = generation};
    return sweep->count < BATCH ? 0 : remove_forgotten(sweep, err);
}

static DIR *open_folder(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && !folder)
        (void)close(fd);
    return folder;
}

/* The names are the launcher's; what a sandbox may write to lies below them. */
static int look_at_sandbox(struct sweep *sweep, int logs, const char *name, struct error *err)
{
    _cleanup_closedir_ DIR *folder = NULL;
    int status = 0;
    struct id id;

    if (!id_parse(name, &id))
        return 0;
    folder = open_folder(logs, name);
    if (!folder)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot list logs");
    for (struct dirent *entry = readdir(folder); entry && status == 0; entry = readdir(folder)) {
        uint64_t generation;

        if (parse_u64(entry->d_name, UINT32_MAX, &generation) && generation > 0)
            status = add(sweep, &id, (uint32_t)generation, err);
    }
    return status;
}

int worker_remove_logs(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    struct sweep sweep = {.worker = worker};
    _cleanup_closedir_ DIR *logs = NULL;
    char path[PATH_MAX];
    int status = 0;

    (void)snprintf(path, sizeof(path), "%s/logs", worker->config->state_dir);
    logs = open_folder(AT_FDCWD, path);
    if (!logs && errno == ENOENT)
        return 0;
    if (!logs)
        return error_set_errno(err, errno, "cannot list %s", path);
    while (status == 0 && sweep.round.done < REMOVED_A_ROUND) {
        const struct dirent *entry = readdir(logs);

        if (!entry)
            break;
        status = look_at_sandbox(&sweep, dirfd(logs), entry->d_name, err);
    }
    if (status < 0 || remove_forgotten(&sweep, err) < 0)
        return -1;
    if (sweep.round.done > 0)
        log_info("removed the logs of %" PRIu64 " runs of sandboxes", sweep.round.done);
    sweep.round.more = sweep.round.done >= REMOVED_A_ROUND;
    *ret_round = sweep.round;
    return 0;
}
