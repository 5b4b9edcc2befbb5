/*
 * The launcher's wire contract: fixed binary structs over a unix SOCK_SEQPACKET socket, one packet
 * a request and one packet a reply, host byte order (both ends run on one host).
 *
 * There is nothing in a request that the launcher would have to parse: no path, no mount, no flag
 * word from outside. Numbers are bounded by the launcher itself; the image is a name of
 * [a-z0-9][a-z0-9._-]* that is looked up in the launcher's own image folder. Bytes after a NUL and
 * reserved fields must be zero. A packet of another size, version or op is answered with EPROTO
 * and the connection is closed.
 *
 * One connection carries one request at a time. A client that wants parallel calls opens several.
 */
#ifndef ATOLL_LAUNCHER_PROTO_H
#define ATOLL_LAUNCHER_PROTO_H

#include <atoll/id.h>
#include <stdint.h>

#define LAUNCHER_MAGIC   0x4c544f41u /* "ATOL" */
#define LAUNCHER_VERSION 1u

/* X(symbol, value, name, meaning) */
#define LAUNCHER_OPS(X)                                                                            \
    X(LAUNCHER_OP_CREATE, 1, "create", "make a sandbox and start its agent")                       \
    X(LAUNCHER_OP_DESTROY, 2, "destroy", "kill a sandbox and remove all that it was")              \
    X(LAUNCHER_OP_FREEZE, 3, "freeze", "stop all of its processes from running")                   \
    X(LAUNCHER_OP_THAW, 4, "thaw", "let them run again")                                           \
    X(LAUNCHER_OP_LIST, 5, "list", "the live sandboxes, a page at a time")                         \
    X(LAUNCHER_OP_FEATURES, 6, "features", "what this host's kernel gives")                        \
    X(LAUNCHER_OP_REMOVE, 7, "remove", "remove the kept disk of a sandbox that does not live")     \
    X(LAUNCHER_OP_DISKS, 8, "disks", "the kept disks, a page at a time")                           \
    X(LAUNCHER_OP_REMOVE_LOGS, 9, "remove-logs",                                                   \
      "remove the logs of one generation, or of all, that do not live")

enum launcher_op {
#define LAUNCHER_OP_ENUM(symbol, value, name, meaning) symbol = (value),
    LAUNCHER_OPS(LAUNCHER_OP_ENUM)
#undef LAUNCHER_OP_ENUM
};

enum launcher_profile {
    LAUNCHER_PROFILE_STRICT = 1, /* every capability set empty before user code runs */
    LAUNCHER_PROFILE_DEV = 2,    /* a root that is root only inside: a short capability list */
};

enum launcher_upper {
    LAUNCHER_UPPER_TMPFS = 1, /* in memory, counted against the sandbox's memory */
    LAUNCHER_UPPER_DISK = 2,  /* on the state folder's disk, with a hard size limit */
};

/* X(name, number of the kernel): what user code may have in the `dev` profile, all of it inside its
 * user namespace. */
#define LAUNCHER_CAPABILITIES(X)                                                                   \
    X(CHOWN, 0)                                                                                    \
    X(DAC_OVERRIDE, 1)                                                                             \
    X(FOWNER, 3)                                                                                   \
    X(FSETID, 4)                                                                                   \
    X(KILL, 5)                                                                                     \
    X(SETGID, 6)                                                                                   \
    X(SETUID, 7)                                                                                   \
    X(NET_BIND_SERVICE, 10)                                                                        \
    X(SYS_CHROOT, 18)                                                                              \
    X(AUDIT_WRITE, 29)

/* The bits of all of them, as cap_add and cap_drop have them: bit n is capability n. */
#define LAUNCHER_CAPABILITY_BIT(name, number) | 1u << (number)
enum { LAUNCHER_CAPABILITIES_ALL = 0 LAUNCHER_CAPABILITIES(LAUNCHER_CAPABILITY_BIT) };

enum { LAUNCHER_IMAGE_SIZE = 64 };

/* The launcher refuses what is outside of these with EINVAL. */
#define LAUNCHER_MEMORY_MIN    (16ull << 20)
#define LAUNCHER_MEMORY_MAX    (1ull << 40)
#define LAUNCHER_CPU_MILLI_MIN 10u
#define LAUNCHER_CPU_MILLI_MAX 1024000u
#define LAUNCHER_PIDS_MIN      8u
#define LAUNCHER_PIDS_MAX      65536u
#define LAUNCHER_UPPER_MIN     (1ull << 20)
#define LAUNCHER_UPPER_MAX     (1ull << 42)

struct launcher_request {
    uint32_t magic;   /* LAUNCHER_MAGIC */
    uint16_t version; /* LAUNCHER_VERSION */
    uint16_t op;      /* enum launcher_op */
    struct id id;     /* of the sandbox; zero for list and features */
    uint32_t generation;
    /* create */
    uint32_t profile;      /* enum launcher_profile */
    uint32_t upper;        /* enum launcher_upper */
    uint32_t pids_max;     /* processes and threads, the agent included */
    uint32_t cpu_milli;    /* thousandths of a core */
    uint32_t keep_logs;    /* 1: the agent gets a log folder that stays after destroy */
    uint64_t memory_bytes; /* hard limit; swap is never given */
    uint64_t upper_bytes;  /* size limit of the writable layer */
    char image[LAUNCHER_IMAGE_SIZE];
    /* list, disks */
    uint32_t cursor; /* 0, then `next_cursor` of the reply before */
    /* destroy */
    uint32_t early; /* 1: the answer comes with the kill and not with the end of the teardown */
    uint32_t remove_disk; /* 1: its kept disk goes too */
    /* create */
    uint32_t keep_disk; /* 1, with LAUNCHER_UPPER_DISK: the layer outlives the generation */
    uint32_t
        read_only_root; /* 1: only /tmp, /dev/shm and the user's home can be written, in memory */
    uint32_t cap_drop;  /* LAUNCHER_PROFILE_DEV: user code has all but these... */
    uint32_t cap_add;   /* ...and these; with no other profile */
    uint32_t reserved[1];
};

/* Counters of a sandbox at its end (destroy). UINT64_MAX stands for "the kernel does not say". */
struct launcher_usage {
    uint64_t cpu_usec;
    uint64_t memory_peak_bytes;
    uint64_t pids_peak;
    uint64_t oom_kills;
};

/* Time of the launcher's stages in microseconds (create). */
struct launcher_timings {
    uint32_t cgroup_usec;
    uint32_t clone_usec;
    uint32_t mount_usec;
    uint32_t setup_usec; /* from the child's release to the agent's exec */
};

/* An entry of list; those of disks have an id and nothing else. */
struct launcher_entry {
    struct id id;
    uint32_t generation;
    int32_t pid;       /* of the agent, in the launcher's pid namespace */
    uint64_t age_usec; /* since its creation, monotonic */
    uint32_t frozen;
    uint32_t reserved;
    char image[LAUNCHER_IMAGE_SIZE];
};

enum { LAUNCHER_LIST_PAGE = 64, LAUNCHER_DETAIL_SIZE = 192 };

/* Bits of `features`: what the host has. The meaning of each is in lib/host. */
struct launcher_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    int32_t status; /* 0, or an errno value */
    uint32_t step;  /* create: the step that failed (launcher/create.h), for the log */
    struct launcher_timings timings;
    struct launcher_usage usage;
    uint64_t features;
    uint32_t next_cursor;              /* 0 at the last page */
    uint32_t count;                    /* entries that follow this struct in the packet */
    char detail[LAUNCHER_DETAIL_SIZE]; /* one line for the log, NUL-terminated */
};

/* The folder of one sandbox is <run_dir>/sandboxes/<32 hex digits>.<generation>, its agent listens
 * on `agent.sock` in there. Both names are the launcher's; a sandbox cannot reach the folder. */
#define LAUNCHER_SOCKET_NAME   "launcher.sock"
#define LAUNCHER_SANDBOXES_DIR "sandboxes"
#define LAUNCHER_AGENT_SOCKET  "agent.sock"

#endif
