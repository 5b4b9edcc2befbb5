#include "launcher/logs.h"

#include "launcher/mounts.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ENTRIES_A_TURN = 64,
    NAME_ATTEMPTS = 16,
    NUMBER_SIZE = 24, /* a number of 64 bits as text */
};

#define REMOVED_NAME "removed"

static int open_folder(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Names of a launcher before are smaller, unless the host's clock went back: then they are taken,
 * and the next number is tried. */
static uint64_t first_name(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int logs_open(int folder, struct log_host *ret_logs, struct error *err)
{
    struct log_host logs = {.folder = folder, .next_name = first_name()};

    if (mkdirat(folder, REMOVED_NAME, 0700) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make the folder of removed logs");
    logs.removed = open_folder(folder, REMOVED_NAME);
    if (logs.removed < 0 || fchown(logs.removed, 0, 0) < 0 || fchmod(logs.removed, 0700) < 0)
        return error_set_errno(err, errno, "cannot open the folder of removed logs");
    logs.pending = folder_open(logs.removed);
    if (!logs.pending)
        return error_set_errno(err, errno, "cannot list the folder of removed logs");
    *ret_logs = logs;
    return 0;
}

/* --- of one sandbox */

static void format_number(uint64_t number, char text[static NUMBER_SIZE])
{
    (void)snprintf(text, NUMBER_SIZE, "%" PRIu64, number);
}

/* The folder of all generations of a sandbox. */
static int open_sandbox(const struct log_host *logs, const struct id *id, bool make)
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    if (make && mkdirat(logs->folder, digits, 0750) < 0 && errno != EEXIST)
        return -1;
    return open_folder(logs->folder, digits);
}

int logs_make(const struct log_host *logs, const struct id *id, uint32_t generation, uid_t uid,
              gid_t gid)
{
    _cleanup_close_ int sandbox = open_sandbox(logs, id, true);
    _cleanup_close_ int folder = -1;
    char name[NUMBER_SIZE];
    int mount = -1;
    int saved;

    format_number(generation, name);
    if (sandbox < 0 || mkdirat(sandbox, name, 0750) < 0)
        return -1;
    folder = open_folder(sandbox, name);
    /* The agent writes it as the sandbox's root, the client reads it by its group. */
    if (folder >= 0 && fchown(folder, uid, gid) == 0 && fchmod(folder, 02770) == 0)
        mount = mount_logs(folder);
    saved = errno;
    if (mount < 0)
        logs_unmake(logs, id, generation);
    errno = saved;
    return mount;
}

/* Of a sandbox that has no folder left, its own; of others it fails. */
static void remove_empty(const struct log_host *logs, const struct id *id)
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    (void)unlinkat(logs->folder, digits, AT_REMOVEDIR);
}

void logs_unmake(const struct log_host *logs, const struct id *id, uint32_t generation)
{
    _cleanup_close_ int sandbox = open_sandbox(logs, id, false);
    char name[NUMBER_SIZE];

    format_number(generation, name);
    if (sandbox >= 0)
        (void)unlinkat(sandbox, name, AT_REMOVEDIR);
    remove_empty(logs, id);
}

/* Renames it into `removed`, under a name of ours. */
static int move_away(struct log_host *logs, int parent, const char *name)
{
    for (unsigned i = 0; i < NAME_ATTEMPTS; i++) {
        char number[NUMBER_SIZE];

        format_number(logs->next_name++, number);
        if (renameat2(parent, name, logs->removed, number, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

/* The work begins, or goes over `removed` once more before it ends. */
static void expect_work(struct log_host *logs)
{
    logs->pass_removed = true;
    if (!logs->pending)
        logs->pending = folder_open(logs->removed);
}

static int remove_all(struct log_host *logs, const struct id *id)
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    return move_away(logs, logs->folder, digits);
}

static int remove_generation(struct log_host *logs, const struct id *id, uint32_t generation)
{
    _cleanup_close_ int sandbox = open_sandbox(logs, id, false);
    char name[NUMBER_SIZE];

    format_number(generation, name);
    if (sandbox < 0 || move_away(logs, sandbox, name) < 0)
        return -1;
    remove_empty(logs, id);
    return 0;
}

int logs_remove(struct log_host *logs, const struct id *id, uint32_t generation)
{
    int result = generation == 0 ? remove_all(logs, id) : remove_generation(logs, id, generation);

    if (result == 0)
        expect_work(logs);
    return result;
}

/* --- what was moved away */

static struct dirent *next_entry(DIR *folder)
{
    struct dirent *entry;

    do
        entry = readdir(folder);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry;
}

/* True when the entry is not in the folder any more. */
static bool remove_entry(struct log_host *logs, int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR)
        return false;
    return unlinkat(folder, name, AT_REMOVEDIR) == 0 || move_away(logs, folder, name) == 0;
}

/*
 * Whoever still writes to it, or what the kernel does not let go, is left for another time: a pass
 * that removed nothing is the last.
 */
static void end_current(struct log_host *logs)
{
    bool removed = unlinkat(logs->removed, logs->current_name, AT_REMOVEDIR) == 0;

    if (!removed && logs->current_removed) {
        logs->current_removed = false;
        rewinddir(logs->current);
        return;
    }
    if (!removed)
        log_warn("removed logs cannot be taken apart now: %s", strerrordesc_np(errno));
    logs->pass_removed |= removed;
    (void)closedir(logs->current);
    logs->current = NULL;
}

static void work_on_current(struct log_host *logs)
{
    const struct dirent *entry = next_entry(logs->current);

    if (!entry)
        end_current(logs);
    else if (remove_entry(logs, dirfd(logs->current), entry->d_name))
        logs->current_removed = true;
}

/* Nothing but folders is moved here; a file can be there all the same, and goes. */
static void open_current(struct log_host *logs, const char *name)
{
    int folder = open_folder(logs->removed, name);

    if (folder < 0) {
        logs->pass_removed |= unlinkat(logs->removed, name, 0) == 0;
        return;
    }
    logs->current = fdopendir(folder);
    if (!logs->current) {
        (void)close(folder);
        return;
    }
    logs->current_removed = false;
    (void)snprintf(logs->current_name, sizeof(logs->current_name), "%s", name);
}

static void work_on_next(struct log_host *logs)
{
    const struct dirent *entry = next_entry(logs->pending);

    if (entry) {
        open_current(logs, entry->d_name);
    } else if (logs->pass_removed) {
        logs->pass_removed = false;
        rewinddir(logs->pending);
    } else {
        (void)closedir(logs->pending);
        logs->pending = NULL;
    }
}

bool logs_pending(const struct log_host *logs)
{
    return logs->pending != NULL;
}

void logs_work(struct log_host *logs)
{
    for (unsigned i = 0; i < ENTRIES_A_TURN && logs->pending; i++) {
        if (logs->current)
            work_on_current(logs);
        else
            work_on_next(logs);
    }
}
