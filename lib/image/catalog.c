#include "lib/image/catalog.h"

#include "lib/base/util.h"
#include "lib/json/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

enum { IMAGE_JSON_MAX = 4096 };

/* The image's own file, or the copy. */
static int read_json(const char *images, const char *name, char **ret_text, size_t *ret_size)
{
    char path[PATH_MAX];
    struct error ignored;

    (void)snprintf(path, sizeof(path), "%s/%s/image.json", images, name);
    if (read_file(AT_FDCWD, path, IMAGE_JSON_MAX, ret_text, ret_size, &ignored) == 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/.info/%s", images, name);
    return read_file(AT_FDCWD, path, IMAGE_JSON_MAX, ret_text, ret_size, &ignored);
}

/* An image whose image.json is missing or odd is listed with what is known: its name. */
static void read_info(const char *images, const char *name, struct image_info *info)
{
    static const struct json_field fields[] = {
        {.name = "name",
         .type = JSON_TYPE_STRING,
         .required = true,
         .min = 1,
         .max = IMAGE_NAME_MAX},
        {.name = "built_at",
         .type = JSON_TYPE_STRING,
         .required = true,
         .min = 1,
         .max = 31,
         .offset = sizeof(char *)},
        {.name = "source",
         .type = JSON_TYPE_STRING,
         .required = true,
         .min = 0,
         .max = 127,
         .offset = 2 * sizeof(char *)},
        {.name = "size_bytes",
         .type = JSON_TYPE_INTEGER,
         .required = true,
         .min = 0,
         .max = INT64_C(1) << 50,
         .offset = 3 * sizeof(char *)},
    };
    struct {
        const char *name;
        const char *built_at;
        const char *source;
        int64_t size_bytes;
    } raw = {0};
    _cleanup_cjson_ cJSON *object = NULL;
    _cleanup_free_ char *text = NULL;
    struct error ignored;
    size_t size;

    *info = (struct image_info){.size_bytes = -1};
    (void)snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(info->name) - 1, name);
    if (read_json(images, name, &text, &size) < 0 ||
        json_parse(text, size, &object, &ignored) < 0 ||
        json_decode(object, fields, ARRAY_SIZE(fields), "", &raw, &ignored) < 0)
        return;
    (void)snprintf(info->built_at, sizeof(info->built_at), "%s", raw.built_at);
    (void)snprintf(info->source, sizeof(info->source), "%s", raw.source);
    info->size_bytes = raw.size_bytes;
}

int image_catalog_list(const char *images,
                       void (*visit)(const struct image_info *info, void *userdata), void *userdata,
                       struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(images);

    if (!dir && errno == ENOENT)
        return 0;
    if (!dir)
        return error_set_errno(err, errno, "%s", images);
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct image_info info;

        if (!name_valid(entry->d_name, IMAGE_NAME_MAX))
            continue;
        read_info(images, entry->d_name, &info);
        visit(&info, userdata);
    }
    return 0;
}
