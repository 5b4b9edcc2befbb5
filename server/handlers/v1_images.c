#include "server/handlers/v1_images.h"

#include "server/handlers/page.h"
#include "server/services/images.h"

#include <string.h>

struct image_view {
    const char *name;
    const char *source;
    int64_t size_bytes;
    const char *built_at;
};

static const struct json_field image_fields[] = {
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = IMAGE_NAME_MAX,
     .offset = offsetof(struct image_view, name)},
    {.name = "source",
     .type = JSON_TYPE_STRING,
     .max = 127,
     .about = "What it was built from; null: not known",
     .offset = offsetof(struct image_view, source)},
    {.name = "size_bytes",
     .type = JSON_TYPE_INTEGER,
     .max = INT64_C(1) << 50,
     .offset = offsetof(struct image_view, size_bytes)},
    {.name = "built_at",
     .type = JSON_TYPE_STRING,
     .max = 31,
     .format = "date-time",
     .offset = offsetof(struct image_view, built_at)},
};
const struct json_table v1_image_table = JSON_TABLE("Image", image_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(v1_image_table)};
const struct json_table v1_image_page_table = JSON_TABLE("ImagePage", page_fields);

static cJSON *image_view(const struct image_info *info)
{
    struct image_view view = {
        .name = info->name,
        .source = info->source[0] ? info->source : NULL,
        .size_bytes = info->size_bytes < 0 ? JSON_NULL_INTEGER : info->size_bytes,
        .built_at = info->built_at[0] ? info->built_at : NULL,
    };

    return json_encode(&v1_image_table, &view);
}

int handle_v1_image_list(struct call *call, struct error *err)
{
    _cleanup_(image_list_free) struct image_list list = {.items = NULL};
    struct page_name_query query;
    size_t first = 0, end;
    cJSON *items;

    if (page_name_query(call, &query, err) < 0 || images_list(call->services, &list, err) < 0)
        return -1;
    while (query.cursor && first < list.count && strcmp(list.items[first].name, query.cursor) <= 0)
        first++;
    end = list.count - first > (size_t)query.limit ? first + (size_t)query.limit : list.count;
    items = cJSON_CreateArray();
    for (size_t i = first; i < end; i++)
        json_append(&items, image_view(&list.items[i]));
    return page_respond_by_name(call, &v1_image_page_table, items,
                                end < list.count ? list.items[end - 1].name : NULL, err);
}
