/*
 * What is known of the installed images, from the folder of images (cli/image_store.h has its
 * layout), for programs that may not change it.
 */
#ifndef LIB_IMAGE_CATALOG_H
#define LIB_IMAGE_CATALOG_H

#include <atoll/error.h>
#include <stdint.h>

enum { IMAGE_NAME_MAX = 63 };

/* What image.json says. Where it cannot be read, all but the name is empty or -1. */
struct image_info {
    char name[IMAGE_NAME_MAX + 1];
    char built_at[32]; /* RFC 3339 */
    char source[128];
    int64_t size_bytes;
};

/*
 * Calls back for each image of the folder `images`, in no particular order. A folder that is not
 * there has none. root reads an image's own image.json; others its copy in `.info`, as they may not
 * enter the image.
 */
int image_catalog_list(const char *images,
                       void (*visit)(const struct image_info *info, void *userdata), void *userdata,
                       struct error *err);

#endif
