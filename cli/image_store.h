/*
 * The folder of images, <state>/images:
 *
 *   <name>/rootfs/       the tree, owned by root as the image's root
 *   <name>/image.json    name, built_at, source, size_bytes
 *   .info/<name>         a copy of it, for the server
 *   .building-<name>     a build that runs, or that was killed
 *   .old-<name>-<n>      a tree that was replaced or removed while sandboxes used it
 *   .lock                held by every command that changes something
 *
 * An image appears, changes and goes by one rename. <name> has mode 0700, because a root file
 * system holds setuid programs that no user of the host should reach.
 */
#ifndef CLI_IMAGE_STORE_H
#define CLI_IMAGE_STORE_H

#include "lib/image/catalog.h"

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

enum { IMAGE_PATH_SIZE = PATH_MAX + NAME_MAX + 64 };

struct image_store {
    char path[PATH_MAX];
    int lock_fd; /* -1: opened for reading */
};

void image_store_close(struct image_store *store);

#define _cleanup_image_store_ _cleanup_(image_store_close)

/* A store to look into. */
int image_store_open(const char *state_dir, struct image_store *ret_store, struct error *err);

/*
 * A store to change: takes the lock (an error when another command holds it) and sweeps what
 * killed builds left, and old trees unless `in_use`. Needs root.
 */
int image_store_open_locked(const char *state_dir, bool in_use, struct image_store *ret_store,
                            struct error *err);

bool image_store_has(const struct image_store *store, const char *name);

/*
 * Makes the empty folder of a build; `path` is set to it. `open`: other users may look into it
 * until it is published, as apt's download user must.
 */
int image_store_begin(const struct image_store *store, const char *name, bool open,
                      char path[static IMAGE_PATH_SIZE], struct error *err);

/* Writes image.json and gives the build its name; a tree of that name becomes old. */
int image_store_publish(const struct image_store *store, const struct image_info *info,
                        struct error *err);

/* Takes the image away: it is an old tree afterwards. */
int image_store_retire(const struct image_store *store, const char *name, struct error *err);

/* Removes old trees and abandoned builds. */
int image_store_sweep(const struct image_store *store, bool in_use, struct error *err);

/* Calls back for each image in no particular order. */
int image_store_list(const struct image_store *store,
                     void (*visit)(const struct image_info *info, void *userdata), void *userdata,
                     struct error *err);

/* ERR_INVALID_FIELD unless the name is of [a-z0-9][a-z0-9._-]{0,62}. */
int image_name_check(const char *name, struct error *err);

#endif
