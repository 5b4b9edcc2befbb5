#include "launcher/mounts.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { BYTES_PER_INODE = 4096, INODES_MIN = 4096, INODES_MAX = 1 << 20 };

static int set_string(int fs, const char *key, const char *value)
{
    return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

/* Makes the file system configured in `fs` and returns it as a detached mount. */
static int finish_mount(int fs, unsigned attributes)
{
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, attributes);
}

static int clone_tree(int folder, struct mount_attr *attributes)
{
    _cleanup_close_ int tree =
        open_tree(folder, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, attributes, sizeof(*attributes)) < 0)
        return -1;
    return TAKE_FD(tree);
}

int mount_image(int rootfs, int userns)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY,
        .userns_fd = (unsigned)userns,
    };

    return clone_tree(rootfs, &attributes);
}

int mount_logs(int folder)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    };

    return clone_tree(folder, &attributes);
}

int mount_upper_folders(int upper, uid_t uid)
{
    static const char *const names[] = {"u", "w"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if ((mkdirat(upper, names[i], 0755) < 0 && errno != EEXIST) ||
            fchownat(upper, names[i], uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
            return -1;
    return 0;
}

int mount_upper_tmpfs(uint64_t bytes, uid_t uid)
{
    _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    _cleanup_close_ int mount = -1;
    uint64_t inodes = bytes / BYTES_PER_INODE;
    char text[24];

    if (fs < 0)
        return -1;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
    if (set_string(fs, "size", text) < 0)
        return -1;
    inodes = inodes < INODES_MIN ? INODES_MIN : inodes > INODES_MAX ? INODES_MAX : inodes;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)inodes);
    if (set_string(fs, "nr_inodes", text) < 0 || set_string(fs, "mode", "0755") < 0)
        return -1;
    mount = finish_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (mount < 0 || mount_upper_folders(mount, uid) < 0)
        return -1;
    return TAKE_FD(mount);
}

static int set_layer_fd(int fs, const char *key, int folder, const char *name)
{
    /* Opened for reading: an O_PATH descriptor is refused by fsconfig before Linux 6.14. */
    _cleanup_close_ int layer = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return layer < 0 ? -1 : fsconfig(fs, FSCONFIG_SET_FD, key, NULL, layer);
}

static int layers_by_fd(int fs, int lower, int upper)
{
    if (set_layer_fd(fs, "lowerdir+", lower, ".") < 0 ||
        set_layer_fd(fs, "upperdir", upper, "u") < 0 || set_layer_fd(fs, "workdir", upper, "w") < 0)
        return -1;
    return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

/* The overlay keeps private clones of its layers, so the stage is free again at once. */
static int layers_by_path(int fs, int lower, int upper)
{
    int result = -1;
    int saved;

    if (move_mount(lower, "", AT_FDCWD, STAGE_LOWER, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -1;
    if (move_mount(upper, "", AT_FDCWD, STAGE_UPPER, MOVE_MOUNT_F_EMPTY_PATH) == 0) {
        if (set_string(fs, "lowerdir", STAGE_LOWER) == 0 &&
            set_string(fs, "upperdir", STAGE_UPPER "/u") == 0 &&
            set_string(fs, "workdir", STAGE_UPPER "/w") == 0)
            result = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
        saved = errno;
        (void)umount2(STAGE_UPPER, MNT_DETACH);
        errno = saved;
    }
    saved = errno;
    (void)umount2(STAGE_LOWER, MNT_DETACH);
    errno = saved;
    return result;
}

int mount_overlay(int lower, int upper, bool by_fd, bool setuid)
{
    _cleanup_close_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);

    if (fs < 0 || set_string(fs, "source", "overlay") < 0)
        return -1;
    /* A folder of the image may be renamed, as on any file system; the kernel's default is a
     * build option. */
    if (set_string(fs, "redirect_dir", "on") < 0)
        return -1;
    if ((by_fd ? layers_by_fd(fs, lower, upper) : layers_by_path(fs, lower, upper)) < 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | (setuid ? 0 : MOUNT_ATTR_NOSUID));
}

static const struct {
    const char *name;
    unsigned major;
    unsigned minor;
} dev_nodes[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
    const char *name;
    const char *target;
} dev_links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

static const char *const dev_folders[] = {"pts", "shm"};

static int fill_dev(int dev)
{
    for (size_t i = 0; i < ARRAY_SIZE(dev_nodes); i++)
        if (mknodat(dev, dev_nodes[i].name, S_IFCHR | 0666,
                    makedev(dev_nodes[i].major, dev_nodes[i].minor)) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++)
        if (symlinkat(dev_links[i].target, dev, dev_links[i].name) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_SIZE(dev_folders); i++)
        if (mkdirat(dev, dev_folders[i], 0755) < 0)
            return -1;
    return 0;
}

int mount_dev(void)
{
    _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    _cleanup_close_ int mount = -1;
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    mode_t mask;
    int result;

    if (fs < 0 || set_string(fs, "size", "64k") < 0 || set_string(fs, "nr_inodes", "64") < 0 ||
        set_string(fs, "mode", "0755") < 0)
        return -1;
    mount = finish_mount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (mount < 0)
        return -1;
    mask = umask(0);
    result = fill_dev(mount);
    (void)umask(mask);
    if (result < 0 || mount_setattr(mount, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
        return -1;
    return TAKE_FD(mount);
}

bool mount_probe_layers_by_fd(void)
{
    _cleanup_close_ int lower = mount_upper_tmpfs(1 << 16, 0);
    _cleanup_close_ int upper = mount_upper_tmpfs(1 << 16, 0);
    _cleanup_close_ int overlay = -1;

    if (lower < 0 || upper < 0)
        return false;
    overlay = mount_overlay(lower, upper, true, false);
    return overlay >= 0;
}
