#include "lib/host/host.h"

#include "lib/base/util.h"
#include "lib/host/cgroup_mounts.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static bool has_user_namespaces(void)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (access("/proc/self/ns/user", F_OK) < 0)
        return false;
    /* Absent in a kernel without the limit. */
    if (read_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", 64, &text, &size, NULL) < 0)
        return true;
    return strcmp(text, "0\n") != 0;
}

static bool has_namespaces(void)
{
    static const char *const kinds[] = {"mnt", "pid", "net", "ipc", "uts", "cgroup"};
    char path[40];

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        if (access(path, F_OK) < 0)
            return false;
    }
    return true;
}

static bool has_cgroups(void)
{
    struct cgroup_mounts mounts;

    return cgroup_mounts_read(&mounts, NULL) == 0 && cgroup_mounts_version(&mounts) != 0;
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
    [HOST_USER_NAMESPACES] = has_user_namespaces,
    [HOST_NAMESPACES] = has_namespaces,
    [HOST_CGROUPS] = has_cgroups,
    [HOST_OVERLAYFS] = has_overlayfs,
    [HOST_IDMAPPED_MOUNTS] = has_idmapped_mounts,
    [HOST_SECCOMP] = has_seccomp,
    [HOST_PIDFD] = has_pidfd,
    [HOST_CLOSE_RANGE] = has_close_range,
    [HOST_CLONE3] = has_clone3,
    [HOST_CGROUP_V2] = has_cgroup_v2,
    [HOST_OVERLAY_FD] = has_overlay_fd,
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
