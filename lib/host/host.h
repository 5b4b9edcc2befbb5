/*
 * What a host's kernel must have, as one table: the launcher refuses to start without the required
 * rows, and `atoll doctor` prints them all in the same words. libc only.
 */
#ifndef LIB_HOST_HOST_H
#define LIB_HOST_HOST_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of `features` in the launcher's answer, in the order of the table. */
/* X(symbol, name, required, meaning, how to get it) */
#define HOST_FEATURES(X)                                                                           \
    X(HOST_CAPABILITIES, "capabilities", true, "the launcher may make and unmake sandboxes",       \
      "run it as root, in a container as --privileged")                                            \
    X(HOST_USER_NAMESPACES, "user namespaces", true, "sandboxes have their own user ids",          \
      "set the sysctl user.max_user_namespaces above 0; build the kernel with CONFIG_USER_NS")     \
    X(HOST_NAMESPACES, "namespaces", true, "mount, pid, net, ipc, uts and cgroup namespaces",      \
      "set the sysctls user.max_*_namespaces above 0; use a kernel with CONFIG_NAMESPACES")        \
    X(HOST_CGROUPS, "cgroup controllers", true, "memory, cpu and pids limits (v1: freezer too)",   \
      "boot without cgroup_disable=; in a container, mount /sys/fs/cgroup writable")               \
    X(HOST_OVERLAYFS, "overlayfs", true, "a writable layer over a read-only image",                \
      "modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS")                                  \
    X(HOST_IDMAPPED_MOUNTS, "idmapped mounts", true, "one image serves every range of user ids",   \
      "use Linux 5.19 or newer")                                                                   \
    X(HOST_SECCOMP, "seccomp filters", true, "system calls are filtered",                          \
      "use a kernel with CONFIG_SECCOMP_FILTER")                                                   \
    X(HOST_PIDFD, "pidfd", true, "a process is named without a race", "use Linux 5.4 or newer")    \
    X(HOST_CLOSE_RANGE, "close_range", true, "no descriptor leaks into a sandbox",                 \
      "use Linux 5.11 or newer")                                                                   \
    X(HOST_CLONE3, "clone3", true, "a child starts in its namespaces and cgroup",                  \
      "use Linux 5.7 or newer; older container engines refuse it")                                 \
    X(HOST_CGROUP_V2, "cgroup v2", false, "one hierarchy with all controllers",                    \
      "boot with systemd.unified_cgroup_hierarchy=1")                                              \
    X(HOST_OVERLAY_FD, "overlay layers by descriptor", false, "no path in the overlay's options",  \
      "use Linux 6.13 or newer")                                                                   \
    X(HOST_DISK_LAYERS, "disk quotas", false, "kept disks: ext4 of exactly the asked size",        \
      "modprobe loop, and install e2fsprogs")

/* The row's number is its bit. */
enum host_feature {
#define HOST_FEATURE_ENUM(symbol, name, required, meaning, fix) symbol,
    HOST_FEATURES(HOST_FEATURE_ENUM)
#undef HOST_FEATURE_ENUM
        HOST_FEATURE_COUNT
};

struct host_result {
    const char *name;
    const char *meaning;
    const char *fix; /* what to do when it is absent */
    bool required;
    bool present;
};

/* Tries every feature; the results are in the order of the table. Makes nothing that stays. */
void host_probe(struct host_result ret_results[static HOST_FEATURE_COUNT]);

/*
 * Probes, and fails when a required feature is absent, naming each with what to do about it.
 * `ret_features` holds a bit for each feature that is present.
 */
int host_check(uint64_t *ret_features, struct error *err);

/* The same judgement over results that are already there. */
int host_judge(const struct host_result results[static HOST_FEATURE_COUNT], uint64_t *ret_features,
               struct error *err);

#endif
