#include "cli/dev_state.h"

#include "cli/defaults.h"
#include "cli/folder.h"
#include "lib/base/util.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { KEY_BYTES = 32, PATH_SIZE = PATH_MAX + 64 };

static int take_lock(const char *state_dir, int *ret_lock_fd, struct error *err)
{
    char path[PATH_SIZE];
    _cleanup_close_ int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/dev.lock", state_dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, ERR_CONFLICT, "another `atoll dev` is running on %s", state_dir);
    *ret_lock_fd = TAKE_FD(fd);
    return 0;
}

int dev_state_prepare(const struct config *config, const struct identity *identity,
                      int *ret_lock_fd, struct error *err)
{
    const struct identity root = {0};
    const struct identity group = {.uid = 0, .gid = identity->gid};
    const struct {
        const char *parent;
        const char *name;
        const struct identity *owner;
        mode_t mode;
    } folders[] = {
        {config->state_dir, "", &root, 0755},
        {config->state_dir, "/auth", &group, 0750},
        {config->state_run_dir, "", &root, 0755},
        {config->state_run_dir, "/server", identity, 0755},
        {config->state_run_dir, "/" DEFAULTS_POSTGRES_NAME, identity, 0700},
    };

    if (folder_ensure_parents(config->state_dir, err) < 0 ||
        folder_ensure_parents(config->state_run_dir, err) < 0 ||
        folder_check_way(config->state_dir, identity, err) < 0 ||
        folder_check_way(config->state_run_dir, identity, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s%s", folders[i].parent, folders[i].name);
        if (folder_ensure(path, folders[i].owner, folders[i].mode, err) < 0)
            return -1;
    }
    return take_lock(config->state_dir, ret_lock_fd, err);
}

static int random_hex(char text[static 2 * KEY_BYTES + 2], struct error *err)
{
    uint8_t bytes[KEY_BYTES];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return error_set_errno(err, errno, "getrandom");
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof(bytes));
    text[2 * sizeof(bytes)] = '\n';
    text[2 * sizeof(bytes) + 1] = '\0';
    return 0;
}

/* Complete before it has its name: a killed start leaves no short key. */
static int write_key(const char *path, gid_t group, const char *text, struct error *err)
{
    char fresh[PATH_SIZE];
    _cleanup_close_ int fd = -1;

    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (unlink(fresh) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "%s", fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "%s", fresh);
    if (write_all(fd, text, strlen(text), err) < 0)
        return -1;
    if (fchown(fd, 0, group) < 0 || fchmod(fd, 0640) < 0 || fsync(fd) < 0 ||
        rename(fresh, path) < 0)
        return error_set_errno(err, errno, "%s", path);
    return 0;
}

int dev_state_ensure_key(const char *path, const struct identity *identity, struct error *err)
{
    char text[2 * KEY_BYTES + 2];
    int result;

    if (access(path, F_OK) == 0)
        return 0;
    if (random_hex(text, err) < 0)
        return -1;
    result = write_key(path, identity->gid, text, err);
    explicit_bzero(text, sizeof(text));
    return result;
}
