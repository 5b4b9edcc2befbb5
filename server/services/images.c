#include "server/services/images.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list that grows; `failed`: memory was short. */
struct gathered {
    struct image_list list;
    bool failed;
};

void image_list_free(struct image_list *list)
{
    free(list->items);
    *list = (struct image_list){0};
}

static void gather(const struct image_info *info, void *userdata)
{
    struct gathered *gathered = userdata;
    struct image_list *list = &gathered->list;
    struct image_info *larger = reallocarray(list->items, list->count + 1, sizeof(*larger));

    if (!larger) {
        gathered->failed = true;
        return;
    }
    list->items = larger;
    list->items[list->count++] = *info;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct image_info *)a)->name, ((const struct image_info *)b)->name);
}

int images_list(struct services *services, struct image_list *ret_list, struct error *err)
{
    struct gathered gathered = {.failed = false};
    char folder[PATH_MAX];
    int status;

    (void)snprintf(folder, sizeof(folder), "%s/images", services->config->state_dir);
    status = image_catalog_list(folder, gather, &gathered, err);
    if (status == 0 && gathered.failed)
        status = error_set_errno(err, ENOMEM, "cannot list images");
    if (status < 0) {
        image_list_free(&gathered.list);
        return -1;
    }
    if (gathered.list.count > 0)
        qsort(gathered.list.items, gathered.list.count, sizeof(struct image_info), compare_names);
    *ret_list = gathered.list;
    return 0;
}
