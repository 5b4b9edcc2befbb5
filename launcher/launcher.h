/*
 * The launcher's one context: options, the descriptors it opened at its start, and what it knows.
 * There is one of it, made by main.c, and every part borrows it.
 */
#ifndef LAUNCHER_LAUNCHER_H
#define LAUNCHER_LAUNCHER_H

#include "launcher/cgroup.h"
#include "launcher/disk.h"
#include "launcher/logs.h"
#include "launcher/sandbox_table.h"
#include "launcher/seccomp.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct launcher_options {
    const char *run_dir;
    const char *state_dir;
    const char *agent;
    const char *archive; /* NULL: sandboxes get none */
    uid_t client_uid;
    gid_t client_gid;
    uint32_t uid_base;
    bool force_stage; /* --layers=path: overlay layers by path even where descriptors work */
    bool json;
    int level; /* enum log_level */
};

/* A list of clients, private to loop.c. */
struct client;

/* What ready.c keeps, and what it would. */
struct ready {
    struct sandbox *sandbox; /* an entry of the table; NULL: none */
    bool wanted;             /* one of this image and shape */
    int64_t pause_end_usec;  /* none is made before (monotonic); 0: no pause */
    char image[LAUNCHER_IMAGE_SIZE];
    struct sandbox_shape shape;
};

struct launcher {
    struct launcher_options options;
    struct source listener;
    struct source signals; /* SIGTERM and SIGINT */
    int epoll;
    int sandboxes;       /* <run_dir>/sandboxes */
    int images;          /* <state_dir>/images, inside the launcher's own root */
    int logs;            /* <state_dir>/logs, likewise */
    int disks;           /* <state_dir>/sandboxes */
    int agent;           /* sealed copy of the agent's program */
    int archive;         /* of the archive program; -1: there is none */
    bool network_ready;  /* the launcher stands in a network namespace nobody has yet */
    bool network_failed; /* the last attempt in idle time; a create will try again */
    bool stopping;       /* it ends when no ready sandbox is left */
    bool oom_protected;  /* its own oom_score_adj is below 0 */
    bool layers_by_fd;   /* overlayfs takes descriptors (Linux 6.13) */
    uint64_t features;   /* enum host_feature bits (lib/host/host.h) */
    struct disk_host disk;
    struct log_host log;
    struct cgroup_host cgroup;
    struct seccomp_program filters[LAUNCHER_PROFILE_DEV + 1]; /* by enum launcher_profile */
    struct sandbox_table table;
    struct ready ready;
    struct client *clients;
    unsigned client_count;
};

/* The first host uid of a sandbox's block. */
static inline uid_t launcher_sandbox_uid(const struct launcher *launcher, uint32_t slot)
{
    return launcher->options.uid_base + slot * SANDBOX_UIDS;
}

#endif
