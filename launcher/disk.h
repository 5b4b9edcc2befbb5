/*
 * Writable layers on disk: an ext4 file system in a nameless file of the state folder, behind a
 * loop device. Its size is the limit. The file has no name and the loop device clears itself, so
 * that the end of the sandbox's mounts frees the space, whoever is left to see it.
 */
#ifndef LAUNCHER_DISK_H
#define LAUNCHER_DISK_H

#include <atoll/error.h>
#include <stdint.h>
#include <sys/types.h>

/* A smaller layer is rounded up to this, the least that holds a useful ext4. */
#define DISK_BYTES_MIN (4ull << 20)

enum { DISK_TEMPLATES = 8, DISK_PROGRAM_SIZE = 32 };

/* Made once a size and copied: mkfs.ext4 takes some 20 ms, a sparse copy a fraction of one. */
struct disk_template {
    uint64_t bytes;
    int file;
};

struct disk_host {
    int folder;      /* <state_dir>/sandboxes, borrowed */
    int host_mounts; /* the host's mount namespace, where mkfs.ext4 is; -1: no disks */
    char program[DISK_PROGRAM_SIZE]; /* path of mkfs.ext4 in there */
    struct disk_template templates[DISK_TEMPLATES];
    unsigned template_count;
    unsigned oldest; /* the template that the next new size replaces */
};

/*
 * Looks at the host, before the launcher enters a mount namespace of its own. A host without loop
 * devices or mkfs.ext4 is no error: `host_mounts` is -1 then.
 */
int disk_open(int folder, struct disk_host *ret_disk, struct error *err);

/*
 * A detached mount of `bytes` with the folders `u` and `w` owned by `uid`. The loop devices are
 * found under /dev. -1 and errno; EOPNOTSUPP on a host without disks. The first use of a size
 * waits for mkfs.ext4.
 */
int disk_mount(struct disk_host *disk, uint64_t bytes, uid_t uid);

#endif
