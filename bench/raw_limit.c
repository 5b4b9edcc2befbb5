/*
 * The raw limit: what the kernel alone costs. One process makes the namespaces, overlay, cgroups
 * and filter of a sandbox by bare clone3, runs `true` from the image, waits, and removes the
 * cgroups; nothing is checked, logged, adoptable or asked for over a socket. `make bench` puts
 * everything else in relation to it.
 *
 *     raw_limit --rootfs DIR (--count N | --seconds S) [--parallel P]
 *
 * prints one line of JSON: {"p50_us":…,"p95_us":…,"per_second":…,"n":…}
 */
#include "lib/base/util.h"
#include "lib/host/cgroup_mounts.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the kernel's headers, which do not go together with <sys/mount.h> of glibc 2.36. */
#include <linux/filter.h>
#include <linux/seccomp.h>

enum { UID_BASE = 1900544000, UIDS = 65536, SAMPLES_MAX = 1 << 20, PARALLEL_MAX = 256 };

struct options {
    const char *rootfs;
    uint64_t count;
    uint64_t seconds;
    uint64_t parallel;
};

/* Samples that each worker may take. */
static uint64_t room_of(const struct options *options)
{
    return SAMPLES_MAX / (options->parallel ? options->parallel : 1);
}

/* What one worker keeps between rounds. */
struct worker {
    const char *rootfs;
    bool v2;
    unsigned groups;
    char group[CGROUP_V1_MOUNTS][CGROUP_PATH_SIZE + 64];
    unsigned controllers[CGROUP_V1_MOUNTS];
    struct sock_fprog filter;
    char stage[64];
    uid_t uid;
};

/* Shared by all workers; each has its part of `samples`. */
struct result {
    uint64_t counts[PARALLEL_MAX];
    uint32_t samples[];
};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "raw_limit: %s: %s\n", what, strerrordesc_np(errno));
    exit(1);
}

static void must(int result, const char *what)
{
    if (result < 0)
        die(what);
}

static void write_text(const char *folder, const char *file, const char *text)
{
    char path[CGROUP_PATH_SIZE + 160];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die(path);
    close(fd);
}

/* About sixty rules, as a sandbox has hundreds: the load's cost lies in the call, not in them. */
static void build_filter(struct worker *worker)
{
    static const int refused[] = {
        SCMP_SYS(mount),          SCMP_SYS(umount2),
        SCMP_SYS(pivot_root),     SCMP_SYS(chroot),
        SCMP_SYS(unshare),        SCMP_SYS(setns),
        SCMP_SYS(ptrace),         SCMP_SYS(bpf),
        SCMP_SYS(kexec_load),     SCMP_SYS(init_module),
        SCMP_SYS(reboot),         SCMP_SYS(swapon),
        SCMP_SYS(keyctl),         SCMP_SYS(add_key),
        SCMP_SYS(request_key),    SCMP_SYS(userfaultfd),
        SCMP_SYS(io_uring_setup), SCMP_SYS(perf_event_open),
        SCMP_SYS(mknod),          SCMP_SYS(mknodat),
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int file = memfd_create("filter", MFD_CLOEXEC);
    struct stat status;

    if (!filter || file < 0)
        die("cannot start a filter");
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0), "seccomp rule");
    must(seccomp_export_bpf(filter, file), "seccomp export");
    must(fstat(file, &status), "stat");
    worker->filter.filter = malloc((size_t)status.st_size);
    worker->filter.len = (unsigned short)((size_t)status.st_size / sizeof(struct sock_filter));
    if (pread(file, worker->filter.filter, (size_t)status.st_size, 0) != status.st_size)
        die("cannot read the filter");
    close(file);
    seccomp_release(filter);
}

static void find_groups(struct worker *worker, unsigned number)
{
    struct cgroup_mounts mounts;
    struct error err;

    if (cgroup_mounts_read(&mounts, &err) < 0)
        die(err.message);
    worker->v2 = cgroup_mounts_version(&mounts) == 2;
    if (worker->v2) {
        (void)snprintf(worker->group[0], sizeof(worker->group[0]), "%s/raw-limit.%d.%u", mounts.v2,
                       getppid(), number);
        worker->groups = 1;
        return;
    }
    for (unsigned i = 0; i < mounts.v1_count; i++) {
        if (!(mounts.v1[i].controllers & (CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS)))
            continue;
        (void)snprintf(worker->group[worker->groups], sizeof(worker->group[0]),
                       "%s/raw-limit.%d.%u", mounts.v1[i].path, getppid(), number);
        worker->controllers[worker->groups++] = mounts.v1[i].controllers;
    }
}

/* Makes the groups and returns what the child joins by: the group, or the `tasks` files. */
static void make_groups(const struct worker *worker, int fds[static CGROUP_V1_MOUNTS])
{
    for (unsigned i = 0; i < worker->groups; i++) {
        const char *group = worker->group[i];
        char path[sizeof(worker->group[0]) + 8];

        must(mkdir(group, 0755), group);
        if (worker->v2) {
            write_text(group, "memory.max", "134217728");
            write_text(group, "cpu.max", "100000 100000");
            write_text(group, "pids.max", "64");
            fds[i] = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        } else {
            if (worker->controllers[i] & CGROUP_MEMORY)
                write_text(group, "memory.limit_in_bytes", "134217728");
            if (worker->controllers[i] & CGROUP_CPU)
                write_text(group, "cpu.cfs_quota_us", "100000");
            if (worker->controllers[i] & CGROUP_PIDS)
                write_text(group, "pids.max", "64");
            (void)snprintf(path, sizeof(path), "%s/tasks", group);
            fds[i] = open(path, O_WRONLY | O_CLOEXEC);
        }
        must(fds[i], "cannot open a cgroup");
    }
}

static int make_tmpfs(const char *size)
{
    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int fd;

    must(fs, "fsopen tmpfs");
    must(fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0), "tmpfs size");
    must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "tmpfs");
    fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    must(fd, "fsmount tmpfs");
    close(fs);
    return fd;
}

/* The overlay over the idmapped image, its layers attached at the stage for a moment. */
static int make_overlay(const struct worker *worker, int userns)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)userns};
    int lower = open_tree(AT_FDCWD, worker->rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    int upper = make_tmpfs("67108864");
    int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    int fd;

    must(lower, "open_tree");
    must(mount_setattr(lower, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)), "idmap");
    must(mkdirat(upper, "u", 0755) | mkdirat(upper, "w", 0755), "layer folders");
    must(fchownat(upper, "u", worker->uid, worker->uid, 0), "chown");
    must(move_mount(lower, "", AT_FDCWD, "lower", MOVE_MOUNT_F_EMPTY_PATH), "stage");
    must(move_mount(upper, "", AT_FDCWD, "upper", MOVE_MOUNT_F_EMPTY_PATH), "stage");
    must(fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", "lower", 0), "lowerdir");
    must(fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", "upper/u", 0), "upperdir");
    must(fsconfig(fs, FSCONFIG_SET_STRING, "workdir", "upper/w", 0), "workdir");
    must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "overlay");
    must(umount2("upper", MNT_DETACH) | umount2("lower", MNT_DETACH), "stage");
    fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    must(fd, "fsmount overlay");
    close(fs);
    close(lower);
    close(upper);
    return fd;
}

static void loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    must(fd, "socket");
    must(ioctl(fd, SIOCSIFFLAGS, &request), "loopback");
    close(fd);
}

static _Noreturn void run_child(const struct worker *worker, const int *groups, int pipe_fd,
                                int socket_fd)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    char *const envp[] = {NULL};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space;
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof(space.bytes)};
    struct cmsghdr *header;
    int root;

    close(pipe_fd);
    for (unsigned i = 0; !worker->v2 && i < worker->groups; i++)
        must((int)write(groups[i], "0", 1), "tasks");
    must((int)recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC), "recvmsg");
    header = CMSG_FIRSTHDR(&message);
    if (!header)
        die("no mount came");
    memcpy(&root, CMSG_DATA(header), sizeof(root));
    must(setresgid(0, 0, 0) | setresuid(0, 0, 0), "ids");
    must(move_mount(root, "", AT_FDCWD, "root", MOVE_MOUNT_F_EMPTY_PATH), "attach");
    must(chdir("root"), "chdir");
    must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "proc");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "size=64k"), "dev");
    must((int)syscall(SYS_pivot_root, ".", ".") | umount2(".", MNT_DETACH) | chdir("/"), "pivot");
    must(sethostname("sandbox", 7), "hostname");
    loopback_up();
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    must((int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &worker->filter), "seccomp");
    (void)execve("/bin/true", argv, envp);
    die("exec");
}

static void send_fd(int socket_fd, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space = {.bytes = {0}};
    char byte = 0;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof(space.bytes)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (!header)
        return;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    must((int)sendmsg(socket_fd, &message, 0), "sendmsg");
}

/* The parent's half between clone and release. */
static void furnish(const struct worker *worker, pid_t pid, int socket_fd)
{
    char folder[32];
    char path[48];
    char map[48];
    int userns, root;

    (void)snprintf(folder, sizeof(folder), "/proc/%d", pid);
    (void)snprintf(map, sizeof(map), "0 %u %d", worker->uid, UIDS);
    write_text(folder, "uid_map", map);
    write_text(folder, "gid_map", map);
    (void)snprintf(path, sizeof(path), "%s/ns/user", folder);
    userns = open(path, O_RDONLY | O_CLOEXEC);
    must(userns, "userns");
    root = make_overlay(worker, userns);
    send_fd(socket_fd, root);
    close(userns);
    close(root);
}

static void run_once(const struct worker *worker)
{
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                 CLONE_NEWUTS | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    int groups[CGROUP_V1_MOUNTS] = {0};
    int ends[2];
    int status;
    pid_t pid;

    make_groups(worker, groups);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    if (worker->v2) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)groups[0];
    }
    pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    must(pid, "clone3");
    if (pid == 0)
        run_child(worker, groups, ends[0], ends[1]);
    close(ends[1]);
    furnish(worker, pid, ends[0]);
    close(ends[0]);
    for (unsigned i = 0; i < worker->groups; i++)
        close(groups[i]);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        (void)fprintf(stderr, "raw_limit: the command ended with status %d\n", status);
        exit(1);
    }
    for (unsigned i = 0; i < worker->groups; i++)
        while (rmdir(worker->group[i]) < 0)
            if (errno != EBUSY)
                die("rmdir");
}

static void enter_stage(struct worker *worker)
{
    static const char *const folders[] = {"lower", "upper", "root"};

    must(unshare(CLONE_NEWNS), "unshare");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    must(mount("tmpfs", worker->stage, "tmpfs", 0, "size=64k"), "stage");
    must(chdir(worker->stage), "chdir");
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        must(mkdir(folders[i], 0755), folders[i]);
}

static _Noreturn void work(const struct options *options, const char *stage, unsigned number,
                           struct result *result)
{
    struct worker worker = {.rootfs = options->rootfs, .uid = UID_BASE + number * UIDS};
    const uint64_t room = room_of(options);
    uint32_t *samples = result->samples + number * room;
    int64_t end = monotonic_usec() + (int64_t)options->seconds * 1000000;
    uint64_t count = 0;

    (void)snprintf(worker.stage, sizeof(worker.stage), "%s", stage);
    find_groups(&worker, number);
    build_filter(&worker);
    enter_stage(&worker);
    while (count < room && (options->seconds ? monotonic_usec() < end : count < options->count)) {
        int64_t start = monotonic_usec();

        run_once(&worker);
        samples[count++] = (uint32_t)(monotonic_usec() - start);
    }
    result->counts[number] = count;
    exit(0);
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void report(const struct options *options, struct result *result, int64_t elapsed)
{
    const uint64_t room = room_of(options);
    uint64_t total = 0;

    for (unsigned i = 0; i < options->parallel; i++) {
        memmove(result->samples + total, result->samples + i * room,
                result->counts[i] * sizeof(uint32_t));
        total += result->counts[i];
    }
    if (total == 0)
        exit(1);
    qsort(result->samples, total, sizeof(uint32_t), compare);
    (void)printf("{\"p50_us\":%u,\"p95_us\":%u,\"per_second\":%.1f,\"n\":%llu}\n",
                 result->samples[total / 2], result->samples[total * 95 / 100],
                 (double)total * 1e6 / (double)elapsed, (unsigned long long)total);
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {{"rootfs", required_argument, NULL, 'r'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"seconds", required_argument, NULL, 's'},
                                          {"parallel", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    int got;
    bool ok = true;

    while (ok && (got = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (got == 'r')
            options->rootfs = optarg;
        else if (got == 'c')
            ok = parse_u64(optarg, SAMPLES_MAX, &options->count);
        else if (got == 's')
            ok = parse_u64(optarg, 3600, &options->seconds);
        else if (got == 'p')
            ok = parse_u64(optarg, PARALLEL_MAX, &options->parallel);
        else
            ok = false;
    }
    return ok && options->rootfs && options->parallel > 0 &&
           (options->count > 0) != (options->seconds > 0);
}

int main(int argc, char **argv)
{
    struct options options = {.parallel = 1};
    char stage[] = "/tmp/raw-limit.XXXXXX";
    struct result *result;
    int64_t start;
    int failures = 0;
    int status;

    if (!parse_options(argc, argv, &options)) {
        (void)fprintf(stderr, "usage: raw_limit --rootfs DIR (--count N | --seconds S) "
                              "[--parallel P]\n");
        return 2;
    }
    options.rootfs = realpath(options.rootfs, NULL);
    if (!options.rootfs)
        die("cannot find the root file system");
    result = mmap(NULL, sizeof(*result) + SAMPLES_MAX * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED || !mkdtemp(stage))
        die("cannot start");
    start = monotonic_usec();
    for (unsigned i = 0; i < options.parallel; i++) {
        pid_t pid = fork();

        must(pid, "fork");
        if (pid == 0)
            work(&options, stage, i, result);
    }
    while (wait(&status) > 0)
        failures += status != 0;
    (void)rmdir(stage);
    if (failures)
        return 1;
    report(&options, result, monotonic_usec() - start);
    return 0;
}
