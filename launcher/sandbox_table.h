/*
 * The sandboxes that the launcher knows, and the blocks of host uids they hold.
 *
 * A slot is a block of 65,536 uids: slot k is uid_base + 65536 * k. A slot is given at create and
 * free again only after the sandbox's cgroups and files are gone.
 */
#ifndef LAUNCHER_SANDBOX_TABLE_H
#define LAUNCHER_SANDBOX_TABLE_H

#include "lib/base/sandbox_name.h"

#include <atoll/launcher_proto.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SANDBOX_SLOTS = 8192, SANDBOX_UIDS = 65536, SANDBOX_EXITED_MAX = 1024 };

#define SANDBOX_NO_SLOT UINT32_MAX

/* What an epoll event belongs to; first member of everything that is registered. */
enum source_kind {
    SOURCE_LISTENER,
    SOURCE_CLIENT,
    SOURCE_SIGNALS,
    SOURCE_STATUS,
    SOURCE_PIDFD,
    SOURCE_EVENTS
};

struct sandbox;

struct source {
    enum source_kind kind;
    int fd;
    struct sandbox *sandbox; /* of the last three kinds */
};

/* What a sandbox is made from; two of one shape differ in nothing but their names. */
struct sandbox_shape {
    dev_t image_dev; /* of the image's rootfs */
    ino_t image_ino;
    uint32_t profile; /* enum launcher_profile */
    uint32_t upper;   /* enum launcher_upper */
    uint64_t upper_bytes;
    uint64_t memory_bytes;
    uint32_t cpu_milli;
    uint32_t pids_max;
    uint32_t capabilities; /* what user code may have, by the kernel's numbers */
    bool read_only_root;
    bool keep_logs;
    bool keep_disk;
};

enum sandbox_phase {
    SANDBOX_STARTING, /* the child prepares itself; the create is not answered yet */
    SANDBOX_LIVE,
    SANDBOX_DYING,  /* killed; waits for the pid namespace's end */
    SANDBOX_DEAD,   /* no process is left; cgroups and files are being removed */
    SANDBOX_EXITED, /* nothing is left but this entry, which answers a later destroy */
};

struct sandbox {
    struct id id;
    uint32_t generation;
    char name[SANDBOX_NAME_SIZE];
    char image[LAUNCHER_IMAGE_SIZE];
    struct sandbox_shape shape; /* zero for an adopted one */
    enum sandbox_phase phase;
    uint32_t slot;        /* SANDBOX_NO_SLOT: holds none */
    uint64_t start_ticks; /* of that process: state_file.h; 0 for an adopted one */
    pid_t pid;            /* of the agent; 0 when there is no process */
    bool is_child;        /* to be waited for; an adopted one is somebody else's child */
    bool exec_announced;  /* STARTING: the child's next step is the exec */
    bool creating;        /* its create has no answer yet */
    bool ready;           /* nobody's yet: without id, under a name of ready_name.h (ready.h) */
    bool made_ahead;      /* it was ready before its create */
    bool frozen;
    bool freezing; /* a freeze is under way: cgroup tells when it is whole */
    bool wanted;   /* a destroy waits for the end, or a create to fail: then it is forgotten */
    struct source pidfd;     /* -1: not open */
    struct source status;    /* the child's report, while STARTING */
    struct source events;    /* v2: cgroup.events, while freezing */
    int64_t created_usec;    /* monotonic */
    int64_t released_usec;   /* when the child was let go; 0 for an adopted one */
    int64_t deadline_usec;   /* of the phase or the freeze; 0: none */
    int64_t freeze_end_usec; /* when a freeze that is not whole has failed */
    unsigned retries;        /* DEAD: attempts at removing the cgroups */
    int32_t failure;         /* errno of a create that failed */
    uint32_t failure_step;   /* enum create_step */
    struct launcher_timings timings;
    bool remove_disk; /* its kept disk goes with it */
    bool usage_read;  /* `usage` holds its last counters */
    struct launcher_usage usage;
    struct sandbox *next;
};

struct sandbox_table {
    struct sandbox *first;
    size_t count;   /* entries */
    size_t exited;  /* entries of phase EXITED */
    uint32_t slots; /* usable slots */
    uint64_t used[SANDBOX_SLOTS / 64];
};

/* Slots that fit between `uid_base` and the last uid, at most SANDBOX_SLOTS. */
void sandbox_table_init(struct sandbox_table *table, uint32_t uid_base);

/* A new entry, phase STARTING, all descriptors -1, no slot; NULL when memory is out. */
struct sandbox *sandbox_table_add(struct sandbox_table *table, const struct id *id,
                                  uint32_t generation);

/* Gives the entry another identity and name, and the place of the newest. */
void sandbox_table_rename(struct sandbox_table *table, struct sandbox *sandbox, const struct id *id,
                          uint32_t generation);

/* Frees the entry, its slot and its descriptors. */
void sandbox_table_remove(struct sandbox_table *table, struct sandbox *sandbox);

/* The first entry after `after` (NULL: from the start) of this id; generation 0 matches all. */
struct sandbox *sandbox_table_find(const struct sandbox_table *table, const struct sandbox *after,
                                   const struct id *id, uint32_t generation);

/* An entry of this id of which something is left on the host, or NULL; generation 0 matches all. */
struct sandbox *sandbox_table_find_running(const struct sandbox_table *table, const struct id *id,
                                           uint32_t generation);

/* Takes the lowest free slot. -1 when none is left. */
int sandbox_slot_take(struct sandbox_table *table, uint32_t *ret_slot);

/* Takes this very slot (adoption). -1 when it is taken or out of range. */
int sandbox_slot_claim(struct sandbox_table *table, uint32_t slot, uint32_t *ret_slot);

/* *slot is SANDBOX_NO_SLOT then; it may be before. */
void sandbox_slot_free(struct sandbox_table *table, uint32_t *slot);

/* Moves an entry to EXITED. It frees none: whoever walks the table may do this. */
void sandbox_table_exited(struct sandbox_table *table, struct sandbox *sandbox);

/* Forgets the oldest entries of phase EXITED above SANDBOX_EXITED_MAX. */
void sandbox_table_trim(struct sandbox_table *table);

#endif
