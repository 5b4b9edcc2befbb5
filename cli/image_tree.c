#include "cli/image_tree.h"

#include "lib/base/util.h"
#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { SANDBOX_UID = 1000, PASSWD_MAX = 1 << 20, TREE_FDS = 32 };

/* Opens a path as a process chrooted to `root` would (openat2(2)). */
static int open_inside(int root, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };

    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static bool exists_inside(int root, const char *path)
{
    _cleanup_close_ int fd = open_inside(root, path, O_PATH);

    return fd >= 0;
}

static int check_shell(int root, struct error *err)
{
    _cleanup_close_ int fd = open_inside(root, "bin/sh", O_PATH);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        return error_set(err, ERR_INVALID_FIELD,
                         "the tree is no root file system: there is no /bin/sh in it");
    return 0;
}

static int ensure_folder(int root, const char *name, uid_t owner, mode_t mode, struct error *err)
{
    _cleanup_close_ int fd = -1;

    if (mkdirat(root, name, 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "/%s", name);
    fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, ERR_INVALID_FIELD,
                         "/%s is not a folder (a symbolic link there is refused)", name);
    if (fchown(fd, owner, owner) < 0 || fchmod(fd, mode) < 0)
        return error_set_errno(err, errno, "/%s", name);
    return 0;
}

/* The folders that a sandbox mounts over or works in. */
static int ensure_folders(int root, struct error *err)
{
    static const struct {
        const char *name;
        uid_t owner;
        mode_t mode;
    } folders[] = {
        {"dev", 0, 0755},
        {"proc", 0, 0555},
        {"sys", 0, 0555},
        {"tmp", 0, 01777},
        {"sandbox", SANDBOX_UID, 0755},
    };

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        if (ensure_folder(root, folders[i].name, folders[i].owner, folders[i].mode, err) < 0)
            return -1;
    }
    return 0;
}

/* Sandboxes get a /dev of their own, so the image's holds nothing; nor do devices lie elsewhere. */
static int strip_device(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)type;
    (void)position;
    if (S_ISBLK(info->st_mode) || S_ISCHR(info->st_mode))
        return unlink(path);
    return 0;
}

static int strip_dev_entry(const char *path, const struct stat *info, int type,
                           struct FTW *position)
{
    (void)info;
    if (position->level == 0)
        return 0;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

static int strip(const char *rootfs, struct error *err)
{
    char dev[PATH_MAX + 160];

    (void)snprintf(dev, sizeof(dev), "%s/dev", rootfs);
    if (nftw(dev, strip_dev_entry, TREE_FDS, FTW_PHYS | FTW_MOUNT | FTW_DEPTH) != 0 ||
        nftw(rootfs, strip_device, TREE_FDS, FTW_PHYS | FTW_MOUNT) != 0)
        return error_set_errno(err, errno, "removing device nodes from %s", rootfs);
    return 0;
}

/* The third field of a line of passwd(5), or NULL. */
static const char *passwd_uid(const char *line, const char *end)
{
    for (int i = 0; i < 2; i++) {
        line = memchr(line, ':', (size_t)(end - line));
        if (!line)
            return NULL;
        line++;
    }
    return line;
}

static bool passwd_has_uid(const char *passwd, const char *uid)
{
    for (const char *line = passwd; *line;) {
        const char *end = strchrnul(line, '\n');
        const char *field = passwd_uid(line, end);

        if (field && strncmp(field, uid, strlen(uid)) == 0 && field[strlen(uid)] == ':')
            return true;
        line = *end ? end + 1 : end;
    }
    return false;
}

/* A pipe in a file's place is never waited for. */
static int open_text(int root, const char *path, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = open_inside(root, path, O_RDWR | O_APPEND | O_NONBLOCK);
    struct stat info;

    if (fd < 0)
        return error_set_errno(err, errno, "/%s", path);
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        return error_set(err, ERR_INVALID_FIELD, "/%s is not a file", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Behind a last line that has no end, which tools of other images leave out. */
static int append_line(int root, const char *path, const char *line, struct error *err)
{
    _cleanup_close_ int fd = -1;
    char last;

    if (!exists_inside(root, path))
        return 0;
    if (open_text(root, path, &fd, err) < 0)
        return -1;
    if (lseek(fd, -1, SEEK_END) >= 0 && read(fd, &last, 1) == 1 && last != '\n' &&
        write_all(fd, "\n", 1, err) < 0)
        return -1;
    return write_all(fd, line, strlen(line), err);
}

static int read_passwd(int root, char **ret_text, struct error *err)
{
    _cleanup_close_ int fd = -1;
    char path[32];
    size_t size;

    if (!exists_inside(root, "etc/passwd"))
        return 0;
    if (open_text(root, "etc/passwd", &fd, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return read_file(AT_FDCWD, path, PASSWD_MAX, ret_text, &size, err);
}

/* Programs that look their user up find one, as in the image `base`. */
static int ensure_user(int root, struct error *err)
{
    _cleanup_free_ char *passwd = NULL;

    if (read_passwd(root, &passwd, err) < 0)
        return -1;
    if (!passwd || passwd_has_uid(passwd, "1000"))
        return 0;
    if (append_line(root, "etc/passwd", "user:x:1000:1000::/home/user:/bin/sh\n", err) < 0 ||
        append_line(root, "etc/group", "user:x:1000:\n", err) < 0 ||
        ensure_folder(root, "home", 0, 0755, err) < 0)
        return -1;
    return 0;
}

static int ensure_home(int root, struct error *err)
{
    _cleanup_close_ int home =
        openat(root, "home", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (home < 0)
        return 0;
    return ensure_folder(home, "user", SANDBOX_UID, 0755, err);
}

int image_tree_prepare(const char *rootfs, struct error *err)
{
    _cleanup_close_ int root = open(rootfs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (root < 0)
        return error_set_errno(err, errno, "%s", rootfs);
    if (check_shell(root, err) < 0 || ensure_folders(root, err) < 0 || strip(rootfs, err) < 0 ||
        ensure_user(root, err) < 0 || ensure_home(root, err) < 0)
        return -1;
    if (fchown(root, 0, 0) < 0 || fchmod(root, 0755) < 0)
        return error_set_errno(err, errno, "%s", rootfs);
    return 0;
}

/* nftw(3) hands nothing on to its callback. */
static int64_t size_sum;

static int add_size(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)path;
    (void)position;
    if (type == FTW_F && __builtin_add_overflow(size_sum, (int64_t)info->st_size, &size_sum)) {
        errno = EOVERFLOW;
        return -1;
    }
    return 0;
}

int image_tree_size(const char *rootfs, int64_t *ret_bytes, struct error *err)
{
    size_sum = 0;
    if (nftw(rootfs, add_size, TREE_FDS, FTW_PHYS | FTW_MOUNT) != 0)
        return error_set_errno(err, errno, "measuring %s", rootfs);
    *ret_bytes = size_sum;
    return 0;
}
