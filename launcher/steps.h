/*
 * The steps of making a sandbox, in order. A create that fails says which one and why (errno);
 * docs/launcher.md lists them.
 */
#ifndef LAUNCHER_STEPS_H
#define LAUNCHER_STEPS_H

#include <stdint.h>

/* X(symbol, text of the log) */
#define CREATE_STEPS(X)                                                                            \
    X(STEP_NONE, "nothing failed")                                                                 \
    X(STEP_ENTRY, "note the sandbox")                                                              \
    X(STEP_IMAGE, "open the image")                                                                \
    X(STEP_SLOT, "take a block of user ids")                                                       \
    X(STEP_FOLDER, "make the run folder")                                                          \
    X(STEP_SOCKET, "bind the agent's socket")                                                      \
    X(STEP_LOGS, "make the log folder")                                                            \
    X(STEP_CGROUP, "make the cgroups")                                                             \
    X(STEP_NETWORK, "make the network namespace")                                                  \
    X(STEP_CLONE, "clone into new namespaces")                                                     \
    X(STEP_WATCH, "watch the child")                                                               \
    X(STEP_IDS, "map the user ids")                                                                \
    X(STEP_LOWER, "map the image's owner")                                                         \
    X(STEP_UPPER, "make the writable layer")                                                       \
    X(STEP_KEPT_DISK, "mount the kept disk")                                                       \
    X(STEP_OVERLAY, "make the overlay")                                                            \
    X(STEP_DEVICES, "make /dev")                                                                   \
    X(STEP_FURNISH, "send the mounts")                                                             \
    X(STEP_STATE, "write the state file")                                                          \
    X(STEP_RELEASE, "release the child")                                                           \
    X(STEP_NAME, "name the sandbox that was ready")                                                \
    X(STEP_CHILD_INHERITED, "close what it inherited")                                             \
    X(STEP_CHILD_HOSTNAME, "set the host name")                                                    \
    X(STEP_CHILD_LIMITS, "set the resource limits")                                                \
    X(STEP_CHILD_RECEIVE, "receive the mounts")                                                    \
    X(STEP_CHILD_ROOT_USER, "become the sandbox's root")                                           \
    X(STEP_CHILD_ATTACH, "attach the root file system")                                            \
    X(STEP_CHILD_MOUNTPOINT, "find a real folder at /dev, /proc or /sys of the image")             \
    X(STEP_CHILD_DEV, "attach /dev")                                                               \
    X(STEP_CHILD_PROC, "mount /proc")                                                              \
    X(STEP_CHILD_MASK, "mask /proc")                                                               \
    X(STEP_CHILD_SCRATCH, "mount what a read-only root lets be written")                           \
    X(STEP_CHILD_READ_ONLY, "make the root read-only")                                             \
    X(STEP_CHILD_PIVOT, "leave the host's mounts")                                                 \
    X(STEP_CHILD_PARTS, "receive the socket and the cgroups")                                      \
    X(STEP_CHILD_CGROUP, "enter the cgroups")                                                      \
    X(STEP_CHILD_DESCRIPTORS, "arrange the descriptors")                                           \
    X(STEP_CHILD_BOUNDING, "trim the bounding set")                                                \
    X(STEP_CHILD_SECCOMP, "load the system-call filter")                                           \
    X(STEP_CHILD_CAPABILITIES, "trim the capabilities")                                            \
    X(STEP_CHILD_EXEC, "start the agent")                                                          \
    X(STEP_DEADLINE, "finish in time")                                                             \
    X(STEP_DIED, "stay alive")

enum create_step {
#define CREATE_STEP_ENUM(symbol, text) symbol,
    CREATE_STEPS(CREATE_STEP_ENUM)
#undef CREATE_STEP_ENUM
        CREATE_STEP_COUNT
};

/*
 * What a child writes to its close-on-exec pipe, in one piece: the step that failed; or, with
 * errnum 0, that the exec comes next.
 */
struct child_failure {
    uint32_t step;
    int32_t errnum;
};

/* The text of a step; "an unknown step" for a number out of range. */
const char *create_step_text(uint32_t step);

#endif
