#include "launcher/startup.h"

#include "launcher/mounts.h"
#include "launcher/network.h"
#include "launcher/privileges.h"
#include "launcher/sys.h"

#include "lib/base/util.h"
#include "lib/host/host.h"

#include <atoll/cleanup.h>
#include <atoll/launcher_proto.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

enum { SOCKET_BACKLOG = 64 };

/* Makes the folder if it is absent, sets owner and mode, and opens it. */
static int open_folder(const char *parent, const char *name, gid_t gid, mode_t mode, int *ret_fd,
                       struct error *err)
{
    _cleanup_close_ int fd = -1;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s%s", parent, name[0] ? "/" : "", name) >=
        (int)sizeof(path))
        return error_set(err, ERR_INTERNAL, "the path of a folder is too long");
    if (mkdir(path, mode & 0777) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make %s", path);
    /* A folder whose owner is not ours to set may be a link: an operator's choice of disk. */
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (mode != 0 ? O_NOFOLLOW : 0));
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    if (mode != 0 && (fchown(fd, 0, gid) < 0 || fchmod(fd, mode) < 0))
        return error_set_errno(err, errno, "cannot set the owner of %s", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/*
 * One launcher a run folder: two would sweep each other's sandboxes. A lock of fcntl, not of
 * flock: that one would live on in a child that a killed launcher left half-made.
 */
static int take_lock(const char *run_dir, struct error *err)
{
    _cleanup_close_ int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = -1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (dir < 0)
        return error_set_errno(err, errno, "cannot open %s", run_dir);
    fd = openat(dir, "launcher.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s/launcher.lock", run_dir);
    if (fcntl(fd, F_SETLK, &lock) < 0)
        return error_set_errno(err, errno, "another launcher serves %s", run_dir);
    (void)TAKE_FD(fd); /* held as long as the process lives */
    return 0;
}

static int open_folders(struct launcher *launcher, struct error *err)
{
    const char *run = launcher->options.run_dir;
    const char *state = launcher->options.state_dir;
    gid_t gid = launcher->options.client_gid;
    int unused = -1;

    if (open_folder(run, "", 0, 0, &unused, err) < 0)
        return -1;
    cleanup_close(&unused);
    if (take_lock(run, err) < 0 ||
        open_folder(run, LAUNCHER_SANDBOXES_DIR, gid, 02750, &launcher->sandboxes, err) < 0 ||
        open_folder(state, "logs", gid, 02770, &launcher->logs, err) < 0 ||
        open_folder(state, "sandboxes", 0, 0700, &launcher->disks, err) < 0)
        return -1;
    /* Whoever installs images owns their folder; it must only be there. */
    return open_folder(state, "images", 0, 0, &launcher->images, err);
}

static int open_socket(struct launcher *launcher, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const char *run = launcher->options.run_dir;

    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a socket");
    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/" LAUNCHER_SOCKET_NAME, run) >=
        (int)sizeof(address.sun_path))
        return error_set(err, ERR_INTERNAL, "the run folder's path is too long for a socket");
    if (unlink(address.sun_path) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "cannot remove the old %s", address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chown(address.sun_path, 0, launcher->options.client_gid) < 0 ||
        chmod(address.sun_path, 0660) < 0 || listen(fd, SOCKET_BACKLOG) < 0)
        return error_set_errno(err, errno, "cannot listen on %s", address.sun_path);
    launcher->listener = (struct source){SOURCE_LISTENER, TAKE_FD(fd), NULL};
    return 0;
}

/*
 * What runs in sandboxes runs from a sealed copy in memory: a sandbox that opens its /proc/1/exe
 * for writing changes nothing on the host (CVE-2019-5736), and all sandboxes share its pages.
 */
static int seal_program(const char *path, const char *name, int *ret_fd, struct error *err)
{
    _cleanup_close_ int source = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int copy = -1;
    struct stat status;
    char link[64];

    if (source < 0 || fstat(source, &status) < 0)
        return error_set_errno(err, errno, "cannot open the program %s", path);
    copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL) /* before Linux 6.3 every memfd is executable */
        copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        return error_set_errno(err, errno, "cannot make a file in memory");
    for (off_t left = status.st_size; left > 0;) {
        ssize_t sent = sendfile(copy, source, NULL, (size_t)left);

        if (sent <= 0)
            return error_set_errno(err, sent < 0 ? errno : EIO, "cannot copy the program %s", path);
        left -= sent;
    }
    if (fchmod(copy, 0555) < 0 ||
        fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return error_set_errno(err, errno, "cannot seal the copy of %s", path);
    /* A file that is open for writing cannot be run. */
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", copy);
    *ret_fd = open(link, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_set_errno(err, errno, "cannot open the copy of %s", path);
    return 0;
}

static int seal_programs(struct launcher *launcher, struct error *err)
{
    const struct launcher_options *options = &launcher->options;

    launcher->archive = -1;
    if (seal_program(options->agent, "atoll-agent", &launcher->agent, err) < 0)
        return -1;
    return options->archive
               ? seal_program(options->archive, "atoll-archive", &launcher->archive, err)
               : 0;
}

static int bind_into(const char *root, const char *name, const char *source, struct error *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    if (mkdir(path, 0755) < 0)
        return error_set_errno(err, errno, "cannot make a mount point");
    if (source && mount(source, path, NULL, MS_BIND, NULL) < 0)
        return error_set_errno(err, errno, "cannot bind %s", source);
    return 0;
}

static int open_below(const char *folder, const char *name)
{
    _cleanup_close_ int parent = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return parent < 0 ? -1 : openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/*
 * A mount namespace and a root of the launcher's own. What a child could see between its clone
 * and its own pivot is then /proc, /dev, images and logs; and the fewer mounts, the cheaper each
 * clone.
 */
static int enter_own_root(const struct launcher *launcher, struct error *err)
{
    static const char *const stages[] = {STAGE_LOWER, STAGE_UPPER, STAGE_ROOT};
    const char *root = launcher->options.run_dir;
    char images[64];
    char logs[64];
    _cleanup_close_ int images_fd = -1;
    _cleanup_close_ int logs_fd = -1;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_set_errno(err, errno, "cannot make a mount namespace");
    /* Opened anew, because only mounts of this namespace can be bound; and before the new root is
     * mounted, which may hide them. */
    images_fd = open_below(launcher->options.state_dir, "images");
    logs_fd = open_below(launcher->options.state_dir, "logs");
    if (images_fd < 0 || logs_fd < 0)
        return error_set_errno(err, errno, "cannot open the state folder");
    (void)snprintf(images, sizeof(images), "/proc/self/fd/%d", images_fd);
    (void)snprintf(logs, sizeof(logs), "/proc/self/fd/%d", logs_fd);
    if (mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=0755") < 0)
        return error_set_errno(err, errno, "cannot mount the launcher's root");
    if (bind_into(root, "proc", "/proc", err) < 0 || bind_into(root, "images", images, err) < 0 ||
        bind_into(root, "logs", logs, err) < 0 || bind_into(root, "dev", "/dev", err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
        if (bind_into(root, stages[i] + 1, NULL, err) < 0)
            return -1;
    if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return error_set_errno(err, errno, "cannot enter the launcher's root");
    return 0;
}

/* Clones are made from mounts of the own namespace only, so these are opened anew inside it. */
static int reopen_folders(struct launcher *launcher, struct error *err)
{
    const struct {
        const char *path;
        int *fd;
    } folders[] = {{"/images", &launcher->images}, {"/logs", &launcher->logs}};

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        cleanup_close(folders[i].fd);
        *folders[i].fd = open(folders[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*folders[i].fd < 0)
            return error_set_errno(err, errno, "cannot open %s", folders[i].path);
    }
    return 0;
}

static int build_filters(struct launcher *launcher, struct error *err)
{
    for (unsigned profile = LAUNCHER_PROFILE_STRICT; profile <= LAUNCHER_PROFILE_DEV; profile++)
        if (seccomp_build_sandbox(profile, &launcher->filters[profile], err) < 0)
            return -1;
    return 0;
}

static bool oom_protected(void)
{
    char text[16];

    return sys_read_file(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) > 0 &&
           text[0] == '-';
}

/* Each sandbox holds a few descriptors; the soft limit is often 1,024. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int startup(struct launcher *launcher, struct error *err)
{
    char mark[PATH_MAX];

    if (host_check(&launcher->features, err) < 0 || open_folders(launcher, err) < 0)
        return -1;
    if (!realpath(launcher->options.run_dir, mark))
        return error_set_errno(err, errno, "cannot resolve %s", launcher->options.run_dir);
    if (cgroup_open(mark, &launcher->cgroup, err) < 0 || seal_programs(launcher, err) < 0 ||
        build_filters(launcher, err) < 0 || disk_open(launcher->disks, &launcher->disk, err) < 0 ||
        open_socket(launcher, err) < 0 || enter_own_root(launcher, err) < 0 ||
        reopen_folders(launcher, err) < 0 || logs_open(launcher->logs, &launcher->log, err) < 0)
        return -1;
    /* An empty session keyring, instead of the one of whoever started the launcher. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
        return error_set_errno(err, errno, "cannot leave the session keyring");
    if (launcher->disk.host_mounts < 0)
        launcher->features &= ~(1ull << HOST_DISK_LAYERS);
    launcher->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (launcher->epoll < 0)
        return error_set_errno(err, errno, "cannot make an epoll descriptor");
    raise_descriptor_limit();
    launcher->oom_protected = oom_protected();
    launcher->layers_by_fd = !launcher->options.force_stage && mount_probe_layers_by_fd();
    sandbox_table_init(&launcher->table, launcher->options.uid_base);
    if (network_prepare() < 0)
        return error_set_errno(err, errno, "cannot make a network namespace");
    launcher->network_ready = true;
    return 0;
}

int startup_lock_down(struct error *err)
{
    struct seccomp_program program;

    if (seccomp_build_launcher(&program, err) < 0)
        return -1;
    /* Needs CAP_SYS_ADMIN, which stays: `dev` sandboxes may run setuid programs, so the launcher
     * must not set no_new_privs. */
    if (privileges_trim(err) < 0)
        return -1;
    if (seccomp_load_program(&program) < 0) {
        int saved = errno;

        seccomp_program_free(&program);
        return error_set_errno(err, saved, "cannot load the launcher's filter");
    }
    seccomp_program_free(&program);
    return 0;
}
