#include "launcher/disk.h"

#include "launcher/mounts.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum { BLOCK_BYTES = 4096, LOOP_ATTEMPTS = 64 };

/* <linux/fs.h> has it, but does not go together with <sys/mount.h> of glibc 2.36. */
#ifndef FICLONE
#define FICLONE _IOW(0x94, 9, int)
#endif

/* No reserve for the host's root. The features are the last word. */
static const char *const mkfs_arguments[] = {
    "mkfs.ext4",
    "-q",
    "-F",
    "-b",
    "4096",
    "-i",
    "16384",
    "-m",
    "0",
    "-E",
    "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
    "-O",
};

/* A layer that never outlives its sandbox needs no journal. */
static const char features_kept[] = "^resize_inode";
static const char features_passing[] = "^has_journal,^resize_inode";

static const char kept_suffix[] = ".disk";

static const char *const mkfs_programs[] = {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"};

int disk_open(int folder, struct disk_host *ret_disk, struct error *err)
{
    struct disk_host disk = {.folder = folder, .host_mounts = -1};

    for (size_t i = 0; i < ARRAY_SIZE(mkfs_programs) && disk.program[0] == '\0'; i++)
        if (access(mkfs_programs[i], X_OK) == 0)
            (void)snprintf(disk.program, sizeof(disk.program), "%s", mkfs_programs[i]);
    if (disk.program[0] != '\0' && access("/dev/loop-control", F_OK) == 0) {
        disk.host_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (disk.host_mounts < 0)
            return error_set_errno(err, errno, "cannot open the mount namespace");
    }
    *ret_disk = disk;
    return 0;
}

static int nameless_file(int folder)
{
    return openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static _Noreturn void exec_mkfs(const struct disk_host *disk, const char *features, char *file)
{
    char *arguments[ARRAY_SIZE(mkfs_arguments) + 3];
    char *environment[] = {NULL};

    /* execve's prototype lacks the const that it keeps to. */
    memcpy(arguments, mkfs_arguments, sizeof(mkfs_arguments));
    arguments[ARRAY_SIZE(mkfs_arguments)] = (char *)features;
    arguments[ARRAY_SIZE(mkfs_arguments) + 1] = file;
    arguments[ARRAY_SIZE(mkfs_arguments) + 2] = NULL;
    if (setns(disk->host_mounts, CLONE_NEWNS) == 0)
        (void)execve(disk->program, arguments, environment);
    _exit(127);
}

static int run_mkfs(const struct disk_host *disk, bool kept, int file)
{
    char path[64];
    int status;
    pid_t pid;

    /* By the launcher's number: the child's own copy is closed by its exec. */
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), file);
    pid = fork();
    if (pid == 0)
        exec_mkfs(disk, kept ? features_kept : features_passing, path);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (status != 0) {
        errno = EIO;
        return -1;
    }
    return 0;
}

/* The descriptor of the template of this size and kind, made if it is not there. */
static int get_template(struct disk_host *disk, uint64_t bytes, bool kept)
{
    _cleanup_close_ int file = -1;
    struct disk_template *slot;

    for (unsigned i = 0; i < disk->template_count; i++)
        if (disk->templates[i].bytes == bytes && disk->templates[i].kept == kept)
            return disk->templates[i].file;
    file = nameless_file(disk->folder);
    if (file < 0 || ftruncate(file, (off_t)bytes) < 0 || run_mkfs(disk, kept, file) < 0)
        return -1;
    if (disk->template_count < DISK_TEMPLATES) {
        slot = &disk->templates[disk->template_count++];
    } else {
        slot = &disk->templates[disk->oldest];
        disk->oldest = (disk->oldest + 1) % DISK_TEMPLATES;
        close(slot->file);
    }
    slot->bytes = bytes;
    slot->kept = kept;
    slot->file = TAKE_FD(file);
    return slot->file;
}

/* Only what was written in the template is copied; where the host's disk can, not even that. */
static int copy_template(int template, int file)
{
    off_t data = 0;

    if (ioctl(file, FICLONE, template) == 0)
        return 0;
    for (;;) {
        off_t hole, from, to;

        data = lseek(template, data, SEEK_DATA);
        if (data < 0)
            return errno == ENXIO ? 0 : -1;
        hole = lseek(template, data, SEEK_HOLE);
        if (hole < 0)
            return -1;
        for (from = to = data; from < hole;)
            if (copy_file_range(template, &from, file, &to, (size_t)(hole - from), 0) <= 0)
                return -1;
        data = hole;
    }
}

/* Puts the file behind a free loop device and opens it; the number may be taken meanwhile. */
static int attach_loop(int file, char *path, size_t path_size)
{
    _cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const struct loop_config config = {
        .fd = (unsigned)file,
        .block_size = BLOCK_BYTES,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
    };

    if (control < 0)
        return -1;
    for (unsigned attempt = 0; attempt < LOOP_ATTEMPTS; attempt++) {
        _cleanup_close_ int loop = -1;
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        if (number < 0)
            return -1;
        (void)snprintf(path, path_size, "/dev/loop%d", number);
        loop = open(path, O_RDWR | O_CLOEXEC);
        if (loop < 0)
            return -1;
        if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
            return TAKE_FD(loop);
        if (errno != EBUSY)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

static int mount_ext4(const char *device)
{
    _cleanup_close_ int fs = fsopen("ext4", FSOPEN_CLOEXEC);

    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static int no_disks(const struct disk_host *disk)
{
    if (disk->host_mounts >= 0)
        return 0;
    errno = EOPNOTSUPP;
    return -1;
}

/* A nameless file with an empty file system. */
static int make_file(struct disk_host *disk, uint64_t bytes, bool kept)
{
    uint64_t least = kept ? DISK_KEPT_BYTES_MIN : DISK_BYTES_MIN;
    uint64_t size = bytes < least ? least : bytes - bytes % BLOCK_BYTES;
    int template = get_template(disk, size, kept);
    _cleanup_close_ int file = template <0 ? -1 : nameless_file(disk->folder);

    if (file < 0 || ftruncate(file, (off_t)size) < 0 || copy_template(template, file) < 0)
        return -1;
    return TAKE_FD(file);
}

/* The file system in `file`, not yet seen by anybody. */
static int mount_file(int file)
{
    _cleanup_close_ int loop = -1;
    char path[32];

    loop = attach_loop(file, path, sizeof(path));
    return loop < 0 ? -1 : mount_ext4(path);
}

int disk_mount(struct disk_host *disk, uint64_t bytes, uid_t uid)
{
    _cleanup_close_ int file = -1;
    _cleanup_close_ int mount = -1;

    if (no_disks(disk) < 0)
        return -1;
    file = make_file(disk, bytes, false);
    mount = file < 0 ? -1 : mount_file(file);
    if (mount < 0 || mount_upper_folders(mount, uid) < 0)
        return -1;
    return TAKE_FD(mount);
}

static void kept_name(const struct id *id, char name[static DISK_NAME_SIZE])
{
    id_format(id, name);
    memcpy(name + ID_TEXT_SIZE - 1, kept_suffix, sizeof(kept_suffix));
}

bool disk_name_parse(const char *name, struct id *ret_id)
{
    char text[ID_TEXT_SIZE];

    if (strlen(name) != DISK_NAME_SIZE - 1 || strcmp(name + ID_TEXT_SIZE - 1, kept_suffix) != 0)
        return false;
    memcpy(text, name, ID_TEXT_SIZE - 1);
    text[ID_TEXT_SIZE - 1] = '\0';
    return id_parse(text, ret_id);
}

static int open_kept(const struct disk_host *disk, const struct id *id)
{
    char name[DISK_NAME_SIZE];

    kept_name(id, name);
    return openat(disk->folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

/* The name comes when the content is on the host's disk: after a crash there is a whole file system
 * or none. */
static int make_kept(struct disk_host *disk, const struct id *id, uint64_t bytes)
{
    _cleanup_close_ int file = make_file(disk, bytes, true);
    char name[DISK_NAME_SIZE];

    kept_name(id, name);
    if (file < 0 || fsync(file) < 0 || linkat(file, "", disk->folder, name, AT_EMPTY_PATH) < 0)
        return -1;
    return TAKE_FD(file);
}

/* The lock belongs to the open file, which the loop device holds as long as it lives. */
static int lock_kept(int file)
{
    if (flock(file, LOCK_EX | LOCK_NB) == 0)
        return 0;
    errno = errno == EWOULDBLOCK ? EBUSY : errno;
    return -1;
}

int disk_mount_kept(struct disk_host *disk, const struct id *id, uint64_t bytes, int userns)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .userns_fd = (unsigned)userns,
    };
    _cleanup_close_ int file = -1;
    _cleanup_close_ int mount = -1;

    if (no_disks(disk) < 0)
        return -1;
    file = open_kept(disk, id);
    if (file < 0 && errno == ENOENT)
        file = make_kept(disk, id, bytes);
    if (file < 0 || lock_kept(file) < 0)
        return -1;
    mount = mount_file(file);
    /* The owner 0 of the folders is the sandbox's root by the map. */
    if (mount < 0 || mount_upper_folders(mount, 0) < 0 ||
        mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return -1;
    return TAKE_FD(mount);
}

bool disk_busy(const struct disk_host *disk, const struct id *id)
{
    _cleanup_close_ int file = open_kept(disk, id);

    return file >= 0 && lock_kept(file) < 0 && errno == EBUSY;
}

int disk_remove(const struct disk_host *disk, const struct id *id)
{
    char name[DISK_NAME_SIZE];

    kept_name(id, name);
    return unlinkat(disk->folder, name, 0);
}
