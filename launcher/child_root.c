#include "launcher/child_root.h"

#include "launcher/child.h"
#include "launcher/mounts.h"
#include "launcher/steps.h"
#include "launcher/sys.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Files of /proc that show or steer the host. The kernel may lack any of them. Masked ones read as
 * empty; the others stay readable.
 */
static const char *const masked_files[] = {
    "proc/interrupts",  "proc/kallsyms",    "proc/kcore",         "proc/keys",
    "proc/kmsg",        "proc/modules",     "proc/latency_stats", "proc/timer_list",
    "proc/timer_stats", "proc/sched_debug",
};
static const char *const masked_folders[] = {"proc/acpi", "proc/asound", "proc/scsi"};
static const char *const read_only_paths[] = {
    "proc/bus", "proc/fs", "proc/irq", "proc/pressure", "proc/sys", "proc/sysrq-trigger",
};

/*
 * A real folder of the image, made when it is absent. A symbolic link there would lead our mounts
 * elsewhere: the start fails then (CVE-2019-16884 class).
 */
static int open_mountpoint(const char *name)
{
    const struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
    };

    int fd = sys_openat2(AT_FDCWD, name, &how);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    return mkdir(name, 0755) < 0 ? -1 : sys_openat2(AT_FDCWD, name, &how);
}

static int check_mountpoint(const char *name)
{
    _cleanup_close_ int fd = open_mountpoint(name);

    return fd < 0 ? -1 : 0;
}

static int attach_dev(int dev, int point, uint64_t shm_bytes)
{
    char options[64];

    if (move_mount(dev, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return -1;
    /* tty's group has the number 5 in every distribution; the agent opens terminals. Their number
     * is bounded for the whole host (kernel.pty.max, 4096), so here for each sandbox. */
    if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=0620,gid=5,max=256") < 0)
        return -1;
    (void)snprintf(options, sizeof(options), "mode=1777,nr_inodes=16384,size=%llu",
                   (unsigned long long)shm_bytes);
    return mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
}

/* A path that this kernel does not have needs no mask. */
static int mount_unless_absent(const char *source, const char *target, const char *type,
                               unsigned long flags, const char *options)
{
    if (mount(source, target, type, flags, options) == 0 || errno == ENOENT)
        return 0;
    return -1;
}

static int mask_proc(void)
{
    const unsigned long locked = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;

    /* The source is the sandbox's own /dev, which nothing but this code has touched: nobody can
     * swap it for a link (CVE-2025-31133). */
    for (size_t i = 0; i < ARRAY_SIZE(masked_files); i++)
        if (mount_unless_absent("dev/null", masked_files[i], NULL, MS_BIND, NULL) < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_SIZE(masked_folders); i++)
        if (mount_unless_absent("tmpfs", masked_folders[i], "tmpfs", locked, "size=4k") < 0)
            return -1;
    for (size_t i = 0; i < ARRAY_SIZE(read_only_paths); i++) {
        const char *path = read_only_paths[i];

        if (mount(path, path, NULL, MS_BIND, NULL) < 0) {
            if (errno == ENOENT)
                continue;
            return -1;
        }
        if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | locked, NULL) < 0)
            return -1;
    }
    return 0;
}

/* The trick of pivot_root(2): the old root lands on top of the new one and is detached. */
static int pivot(void)
{
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
        return -1;
    return chdir("/");
}

static int attach_stage(int mount, const char *stage)
{
    return mount < 0 ? 0 : move_mount(mount, "", AT_FDCWD, stage, MOVE_MOUNT_F_EMPTY_PATH);
}

/* What can be written where the root cannot: the user's home is that of the images' one user. */
static const struct {
    const char *name;
    const char *options;
    bool made; /* when the image has none */
} scratch_folders[] = {
    {"tmp", "mode=1777", true},
    {"home/user", "mode=0755,uid=1000,gid=1000", false},
};

static int mount_scratch(int point, const char *options, uint64_t bytes)
{
    char path[32];
    char text[96];

    (void)snprintf(text, sizeof(text), "%s,nr_inodes=65536,size=%llu", options,
                   (unsigned long long)bytes);
    (void)snprintf(path, sizeof(path), "proc/self/fd/%d", point);
    return mount("scratch", path, "tmpfs", MS_NOSUID | MS_NODEV, text);
}

static int mount_scratch_folders(uint64_t bytes)
{
    for (size_t i = 0; i < ARRAY_SIZE(scratch_folders); i++) {
        const char *name = scratch_folders[i].name;
        _cleanup_close_ int point = -1;

        if (!scratch_folders[i].made && access(name, F_OK) < 0)
            continue;
        point = open_mountpoint(name);
        if (point < 0 || mount_scratch(point, scratch_folders[i].options, bytes) < 0)
            return -1;
    }
    return 0;
}

static int make_read_only(void)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};

    return mount_setattr(AT_FDCWD, "/", 0, &attributes, sizeof(attributes));
}

int child_root_enter(const int *mounts, uint64_t shm_bytes, bool read_only, uint32_t *ret_step)
{
    _cleanup_close_ int point = -1;

    *ret_step = STEP_CHILD_ATTACH;
    if (attach_stage(mounts[CHILD_MOUNT_LOWER], STAGE_LOWER) < 0 ||
        attach_stage(mounts[CHILD_MOUNT_UPPER], STAGE_UPPER) < 0 ||
        attach_stage(mounts[CHILD_MOUNT_ROOT], STAGE_ROOT) < 0 || chdir(STAGE_ROOT) < 0)
        return -1;
    *ret_step = STEP_CHILD_MOUNTPOINT;
    point = open_mountpoint("dev");
    if (point < 0 || check_mountpoint("proc") < 0 || check_mountpoint("sys") < 0)
        return -1;
    *ret_step = STEP_CHILD_DEV;
    if (attach_dev(mounts[CHILD_MOUNT_DEV], point, shm_bytes) < 0)
        return -1;
    *ret_step = STEP_CHILD_PROC;
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -1;
    *ret_step = STEP_CHILD_MASK;
    if (mask_proc() < 0)
        return -1;
    *ret_step = STEP_CHILD_SCRATCH;
    if (read_only && mount_scratch_folders(shm_bytes) < 0)
        return -1;
    *ret_step = STEP_CHILD_PIVOT;
    if (pivot() < 0)
        return -1;
    *ret_step = STEP_CHILD_READ_ONLY;
    return read_only ? make_read_only() : 0;
}
