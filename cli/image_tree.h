/*
 * What makes a tree an image: the checks and the few changes that every image gets, whatever it
 * came from. The tree is untrusted: no path in it is followed out of it.
 */
#ifndef CLI_IMAGE_TREE_H
#define CLI_IMAGE_TREE_H

#include <atoll/error.h>
#include <stdint.h>

/*
 * Checks that there is a shell, that /dev, /proc, /sys, /tmp and /sandbox are folders or missing
 * (a symbolic link there would lead the mounts of a sandbox astray), makes the missing ones,
 * empties /dev, removes device nodes, and adds the user of uid 1000 when nobody has that uid.
 */
int image_tree_prepare(const char *rootfs, struct error *err);

/* The bytes of all files. */
int image_tree_size(const char *rootfs, int64_t *ret_bytes, struct error *err);

#endif
