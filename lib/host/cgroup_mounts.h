/*
 * Where this host has its control groups: the launcher makes sandboxes' groups there, the doctor
 * reports what is missing. Reads /proc/self/mountinfo; owns nothing.
 */
#ifndef LIB_HOST_CGROUP_MOUNTS_H
#define LIB_HOST_CGROUP_MOUNTS_H

#include <atoll/error.h>
#include <stdbool.h>

enum { CGROUP_PATH_SIZE = 512, CGROUP_V1_MOUNTS = 16 };

/* Bits of the controllers in use. */
enum {
    CGROUP_MEMORY = 1,
    CGROUP_CPU = 2,
    CGROUP_PIDS = 4,
    CGROUP_FREEZER = 8,  /* v1 only; v2 has cgroup.freeze */
    CGROUP_CPUACCT = 16, /* v1 only; v2 has cpu.stat */
};

struct cgroup_v1_mount {
    char path[CGROUP_PATH_SIZE];
    unsigned controllers; /* of those in use; 0 for a mount with others only */
};

struct cgroup_mounts {
    char v2[CGROUP_PATH_SIZE]; /* "" when not mounted */
    unsigned v2_controllers;   /* memory, cpu, pids as its cgroup.controllers says */
    struct cgroup_v1_mount v1[CGROUP_V1_MOUNTS];
    unsigned v1_count;
};

/* Reads the mount table of this process. */
int cgroup_mounts_read(struct cgroup_mounts *ret_mounts, struct error *err);

/* Adds what one line of mountinfo (proc(5)) says; other file systems are ignored. */
void cgroup_mounts_add(struct cgroup_mounts *mounts, const char *line);

/* The version whose controllers suffice: 2 is preferred, then 1; 0 when neither does. */
int cgroup_mounts_version(const struct cgroup_mounts *mounts);

/* True when the hierarchies of that version can be written, as a read-only mount cannot. */
bool cgroup_mounts_writable(const struct cgroup_mounts *mounts);

/* True when the space-separated `words` hold `word`. */
bool cgroup_words_hold(const char *words, const char *word);

#endif
