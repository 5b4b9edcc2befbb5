#include "lib/host/host.h"

#include "lib/base/util.h"
#include "lib/host/cgroup_mounts.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * True when a child is born into new namespaces; it ends at once. What a kernel was built without,
 * a sysctl of user.max_*_namespaces forbids or a container's filter refuses shows only so. Not by
 * clone3, which is a question of its own.
 */
static bool can_clone(unsigned long namespaces)
{
    pid_t pid = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);
    int status;

    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, &status, 0) == pid;
}

static bool has_user_namespaces(void)
{
    return can_clone(CLONE_NEWUSER);
}

/* Inside a user namespace where there is one: what a process may do there does not depend on its
 * capabilities here, which are another row. */
static bool has_namespaces(void)
{
    const unsigned long others =
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

    return can_clone(has_user_namespaces() ? others | CLONE_NEWUSER : others);
}

static bool has_capabilities(void)
{
    const uint64_t needed = 1ull << CAP_SYS_ADMIN | 1ull << CAP_NET_ADMIN | 1ull << CAP_MKNOD |
                            1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_SETPCAP |
                            1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER |
                            1ull << CAP_FSETID | 1ull << CAP_KILL | 1ull << CAP_SYS_CHROOT;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return false;
    return (needed & ~(data[0].effective | (uint64_t)data[1].effective << 32)) == 0;
}

static bool has_cgroups(void)
{
    struct cgroup_mounts mounts;

    return cgroup_mounts_read(&mounts, NULL) == 0 && cgroup_mounts_writable(&mounts);
}

static bool has_cgroup_v2(void)
{
    struct cgroup_mounts mounts;

    return cgroup_mounts_read(&mounts, NULL) == 0 && cgroup_mounts_version(&mounts) == 2;
}

/* fsopen loads the module if it must; it needs root, so others read the list. */
static bool has_overlayfs(void)
{
    _cleanup_close_ int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (fs >= 0)
        return true;
    return read_file(AT_FDCWD, "/proc/filesystems", 65536, &text, &size, NULL) == 0 &&
           strstr(text, "\toverlay\n") != NULL;
}

static bool kernel_at_least(unsigned major, unsigned minor)
{
    struct utsname name;
    unsigned long have_major, have_minor;
    char *rest;

    if (uname(&name) < 0)
        return false;
    have_major = strtoul(name.release, &rest, 10);
    if (*rest != '.')
        return false;
    have_minor = strtoul(rest + 1, NULL, 10);
    return have_major > major || (have_major == major && have_minor >= minor);
}

/* Overlayfs takes idmapped layers since 5.19; there is no way to ask without making a sandbox. */
static bool has_idmapped_mounts(void)
{
    return kernel_at_least(5, 19);
}

static bool has_seccomp(void)
{
    uint32_t action = SECCOMP_RET_KILL_PROCESS;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool has_pidfd(void)
{
    _cleanup_close_ int fd = pidfd_open(getpid(), 0);

    return fd >= 0;
}

static bool has_close_range(void)
{
    /* A range that holds no descriptor. */
    return close_range(~0u - 1, ~0u - 1, CLOSE_RANGE_CLOEXEC) == 0;
}

static bool has_clone3(void)
{
    /* Refused for its size, unless the call itself is. */
    return syscall(SYS_clone3, NULL, (size_t)0) < 0 && errno == EINVAL;
}

static bool has_overlay_fd(void)
{
    return kernel_at_least(6, 13);
}

static bool has_disk_layers(void)
{
    return access("/dev/loop-control", F_OK) == 0 &&
           (access("/usr/sbin/mkfs.ext4", X_OK) == 0 || access("/sbin/mkfs.ext4", X_OK) == 0);
}

static bool (*const probes[HOST_FEATURE_COUNT])(void) = {
    [HOST_CAPABILITIES] = has_capabilities, [HOST_USER_NAMESPACES] = has_user_namespaces,
    [HOST_NAMESPACES] = has_namespaces,     [HOST_CGROUPS] = has_cgroups,
    [HOST_OVERLAYFS] = has_overlayfs,       [HOST_IDMAPPED_MOUNTS] = has_idmapped_mounts,
    [HOST_SECCOMP] = has_seccomp,           [HOST_PIDFD] = has_pidfd,
    [HOST_CLOSE_RANGE] = has_close_range,   [HOST_CLONE3] = has_clone3,
    [HOST_CGROUP_V2] = has_cgroup_v2,       [HOST_OVERLAY_FD] = has_overlay_fd,
    [HOST_DISK_LAYERS] = has_disk_layers,
};

void host_probe(struct host_result ret_results[static HOST_FEATURE_COUNT])
{
    static const struct host_result rows[HOST_FEATURE_COUNT] = {
#define HOST_FEATURE_ROW(symbol, name, required, meaning, fix)                                     \
    [symbol] = {(name), (meaning), (fix), (required), false},
        HOST_FEATURES(HOST_FEATURE_ROW)
#undef HOST_FEATURE_ROW
    };

    for (unsigned i = 0; i < HOST_FEATURE_COUNT; i++) {
        ret_results[i] = rows[i];
        ret_results[i].present = probes[i]();
    }
}

int host_judge(const struct host_result results[static HOST_FEATURE_COUNT], uint64_t *ret_features,
               struct error *err)
{
    char absent[ERROR_MESSAGE_MAX] = "";
    uint64_t features = 0;

    for (unsigned i = 0; i < HOST_FEATURE_COUNT; i++) {
        size_t used = strlen(absent);

        if (results[i].present)
            features |= 1ull << i;
        else if (results[i].required)
            (void)snprintf(absent + used, sizeof(absent) - used, "%s%s (%s)", used ? "; " : "",
                           results[i].name, results[i].fix);
    }
    if (absent[0] != '\0')
        return error_set(err, ERR_UNAVAILABLE, "this host lacks: %s", absent);
    *ret_features = features;
    return 0;
}

int host_check(uint64_t *ret_features, struct error *err)
{
    struct host_result results[HOST_FEATURE_COUNT];

    host_probe(results);
    return host_judge(results, ret_features, err);
}
