/* The images that are installed on this node. */
#ifndef SERVER_SERVICES_IMAGES_H
#define SERVER_SERVICES_IMAGES_H

#include "lib/image/catalog.h"
#include "server/services/services.h"

#include <stddef.h>

struct image_list {
    struct image_info *items;
    size_t count;
};

void image_list_free(struct image_list *list);

/* All of them, by name. The caller frees the list. */
int images_list(struct services *services, struct image_list *ret_list, struct error *err);

#endif
