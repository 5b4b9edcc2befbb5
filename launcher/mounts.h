/*
 * The mounts that the launcher makes with its own credentials and hands to the child as detached
 * mounts. All return a descriptor (the caller's to close), or -1 and errno.
 */
#ifndef LAUNCHER_MOUNTS_H
#define LAUNCHER_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Folders of the launcher's own root (privileges.c makes it): generic names, because the overlay's
 * options are readable inside the sandbox.
 */
#define STAGE_LOWER "/lower"
#define STAGE_UPPER "/upper"
#define STAGE_ROOT  "/root"

/* A read-only clone of the folder, its owner ids moved by the mapping of `userns` (Linux 5.12). */
int mount_image(int rootfs, int userns);

/* The log folder as a mount of its own, so that ".." from its descriptor leads nowhere. */
int mount_logs(int folder);

/* A tmpfs of at most `bytes` with the folders `u` and `w` owned by `uid`. */
int mount_upper_tmpfs(uint64_t bytes, uid_t uid);

/* Makes the folders `u` and `w` of a writable layer. */
int mount_upper_folders(int upper, uid_t uid);

/*
 * Overlay of `lower` and `upper`/u with `upper`/w as its workdir. `by_fd` hands over descriptors
 * (Linux 6.13); otherwise both are attached at the stage for a moment (checked on Linux 6.1).
 * `setuid`: whether setuid programs of it work.
 */
int mount_overlay(int lower, int upper, bool by_fd, bool setuid);

/* /dev of one sandbox: the harmless nodes, links and mount points; read-only. */
int mount_dev(void);

/* True when overlayfs takes layers by descriptor. Tries it with two empty tmpfs. */
bool mount_probe_layers_by_fd(void);

#endif
