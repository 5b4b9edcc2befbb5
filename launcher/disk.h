/*
 * Writable layers on disk: an ext4 file system in a file of the state folder, behind a loop device.
 * Its size is the limit.
 *
 * The usual one has no name, and its loop device clears itself, so that the end of the sandbox's
 * mounts frees the space, whoever is left to see it.
 *
 * A kept one is `<32 hex digits>.disk` and outlives the sandbox's generations. It has a journal,
 * and the owners on it are the sandbox's own ids (0 to 65535): its mount maps them to whatever
 * block of host uids a generation has. The file that the loop device holds is locked (flock(2)), so
 * that it is mounted once, also across launchers, and the lock goes with the mount.
 */
#ifndef LAUNCHER_DISK_H
#define LAUNCHER_DISK_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A smaller layer is rounded up to this, the least that holds a useful ext4. */
#define DISK_BYTES_MIN (4ull << 20)

/* The same with a journal. */
#define DISK_KEPT_BYTES_MIN (16ull << 20)

enum { DISK_TEMPLATES = 8, DISK_PROGRAM_SIZE = 32, DISK_NAME_SIZE = ID_TEXT_SIZE + 5 };

/* Made once a size and copied: mkfs.ext4 takes some 20 ms, a sparse copy a fraction of one. */
struct disk_template {
    uint64_t bytes;
    bool kept; /* with a journal */
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

/*
 * A detached mount of the kept disk of `id`, with the folders `u` and `w`, its owners mapped by the
 * user namespace. Made with `bytes` when there is none; one that is there keeps its size, and the
 * kernel replays its journal. -1 and errno: EBUSY while it is mounted elsewhere, EUCLEAN and others
 * of ext4 when it cannot be mounted.
 */
int disk_mount_kept(struct disk_host *disk, const struct id *id, uint64_t bytes, int userns);

/* True while the kept disk of `id` is mounted somewhere; false also without one. */
bool disk_busy(const struct disk_host *disk, const struct id *id);

/* Removes the file. -1 and errno: ENOENT when there is none. */
int disk_remove(const struct disk_host *disk, const struct id *id);

/* The id in a kept disk's file name; false for other names. */
bool disk_name_parse(const char *name, struct id *ret_id);

#endif
