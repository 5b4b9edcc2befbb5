/* How a tree gets into a fresh folder: by a recipe, or out of a tar file. Both need root. */
#ifndef CLI_IMAGE_MAKE_H
#define CLI_IMAGE_MAKE_H

#include "cli/image_store.h"

/*
 * Runs <recipes>/<name>/build with ATOLL_ROOTFS naming the folder to make and ATOLL_BASE_ROOTFS
 * the tree of the image `base`. Its output goes to ours. A recipe prints why it failed.
 */
int image_make_build(const struct image_store *store, const char *recipes, const char *name,
                     struct error *err);

/* Extracts a root file system (.tar, .tar.gz, .tar.xz, .tar.zst). */
int image_make_import(const struct image_store *store, const char *name, const char *tar,
                      struct error *err);

#endif
