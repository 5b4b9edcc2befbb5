#include "server/handlers/v1_file_view.h"

#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/services/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MODE_TEXT_SIZE = 8,
    NAME_SHOWN_MAX = 63,
    NSEC_PER_USEC = 1000,
    PATH_SHOWN = 255,      /* bytes of a path in a message, which has room for the cause too */
    TWO_PATHS_SHOWN = 160, /* of each of two */
};

struct file_shown {
    const char *path;
    const char *path_base64;
    const char *type;
    int64_t size;
    const char *mode;
    int64_t uid;
    int64_t gid;
    const char *owner;
    const char *group;
    int64_t modified_usec;
    const char *link;
    const char *etag;
};

static const struct json_field fields[] = {
    V1_FILE_TEXT(struct file_shown, "path", true, false, path,
                 "Absolute; U+FFFD stands for a byte that is not UTF-8."),
    V1_FILE_TEXT(struct file_shown, "path_base64", false, true, path_base64,
                 "Its exact bytes, where `path` is not exact."),
    {.name = "type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "file|folder|link|fifo|socket|device",
     .offset = offsetof(struct file_shown, type)},
    {.name = "size",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .offset = offsetof(struct file_shown, size)},
    {.name = "mode",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = MODE_TEXT_SIZE,
     .offset = offsetof(struct file_shown, mode),
     .about = "Four octal digits."},
    {.name = "uid",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = UINT32_MAX,
     .offset = offsetof(struct file_shown, uid)},
    {.name = "gid",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = UINT32_MAX,
     .offset = offsetof(struct file_shown, gid)},
    {.name = "owner",
     .type = JSON_TYPE_STRING,
     .max = NAME_SHOWN_MAX,
     .offset = offsetof(struct file_shown, owner),
     .about = "The sandbox's name of the uid, where it has one."},
    {.name = "group",
     .type = JSON_TYPE_STRING,
     .max = NAME_SHOWN_MAX,
     .offset = offsetof(struct file_shown, group)},
    {.name = "modified_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct file_shown, modified_usec)},
    {.name = "link",
     .type = JSON_TYPE_STRING,
     .max = AGENT_PATH_MAX,
     .offset = offsetof(struct file_shown, link),
     .about = "What a link holds."},
    {.name = "etag",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = V1_FILE_TAG_SIZE,
     .offset = offsetof(struct file_shown, etag),
     .about = "The entity tag of its content."},
};
const struct json_table v1_file_table = JSON_TABLE("File", fields);

enum { CURSOR_SIZE = 24 };

struct list_shown {
    cJSON *items;
    bool truncated;
    const char *next_cursor;
};

static const struct json_field list_fields[] = {
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = AGENT_LIST_MAX,
     .of = &v1_file_table,
     .offset = offsetof(struct list_shown, items)},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct list_shown, truncated),
     .about = "There are more than `limit`."},
    {.name = "next_cursor",
     .type = JSON_TYPE_STRING,
     .max = CURSOR_SIZE - 1,
     .offset = offsetof(struct list_shown, next_cursor),
     .about = "`cursor` of the next page; null: there is none"},
};
const struct json_table v1_file_list_table = JSON_TABLE("FileList", list_fields);

void v1_file_tag(const struct agent_file_entry *entry, char tag[static V1_FILE_TAG_SIZE])
{
    (void)snprintf(tag, V1_FILE_TAG_SIZE, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
                   (uint64_t)entry->mtime_nsec, entry->size, entry->inode);
}

const char *v1_file_type(enum agent_file_type type)
{
    switch (type) {
#define TYPE_WORD(symbol, value, word)                                                             \
    case (symbol):                                                                                 \
        return (word);
        AGENT_FILE_TYPES(TYPE_WORD)
#undef TYPE_WORD
    default:
        return "device";
    }
}

/* The length of a folder's path without slashes, or a "." behind one, at its end. */
static size_t folder_length(const char *folder)
{
    size_t length = strlen(folder);

    while (length > 0 &&
           (folder[length - 1] == '/' || (length > 1 && memcmp(folder + length - 2, "/.", 2) == 0)))
        length--;
    return length;
}

char *v1_file_path(const char *folder, const char *path)
{
    size_t length = folder_length(folder);
    char *whole = NULL;

    if (path[0] == '\0')
        return strdup(folder);
    return asprintf(&whole, "%.*s/%s", (int)length, folder, path) < 0 ? NULL : whole;
}

static const char *or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

/* What the sandbox says need not be UTF-8. */
static char *shown_text(const char *text)
{
    bool exact;

    return text_from_bytes(text, strlen(text), &exact);
}

cJSON *v1_file_view(const char *folder, const struct agent_file_entry *entry)
{
    _cleanup_free_ char *path = v1_file_path(folder, entry->path);
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *base64 = NULL;
    _cleanup_free_ char *link = shown_text(entry->link);
    _cleanup_free_ char *owner = shown_text(entry->owner);
    _cleanup_free_ char *group = shown_text(entry->group);
    char mode[MODE_TEXT_SIZE];
    char tag[V1_FILE_TAG_SIZE];
    struct file_shown shown = {
        .type = v1_file_type(entry->type),
        .size = (int64_t)entry->size,
        .mode = mode,
        .uid = entry->uid,
        .gid = entry->gid,
        .owner = owner ? or_null(owner) : NULL,
        .group = group ? or_null(group) : NULL,
        .modified_usec = entry->mtime_nsec / NSEC_PER_USEC,
        .link = link ? or_null(link) : NULL,
        .etag = tag,
    };

    if (!path || !link || !owner || !group || !output_view(path, strlen(path), &text, &base64))
        return NULL;
    shown.path = text;
    shown.path_base64 = base64;
    (void)snprintf(mode, sizeof(mode), "%04o", entry->mode & 07777);
    v1_file_tag(entry, tag);
    return json_encode(&v1_file_table, &shown);
}

cJSON *v1_file_list_view(const char *folder, const struct agent_file_list *list, size_t limit,
                         uint64_t skipped)
{
    size_t count = list->count < limit ? list->count : limit;
    struct list_shown shown = {.items = cJSON_CreateArray(), .truncated = list->count > limit};
    char cursor[CURSOR_SIZE];

    (void)snprintf(cursor, sizeof(cursor), "%" PRIu64, skipped + count);
    shown.next_cursor = shown.truncated ? cursor : NULL;
    for (size_t i = 0; i < count; i++)
        json_append(&shown.items, v1_file_view(folder, &list->items[i]));
    return json_encode(&v1_file_list_table, &shown);
}

int v1_file_cannot(const char *action, const char *path, const char *target, struct error *err)
{
    if (strcmp(err->field, "path") != 0 && strcmp(err->field, "target") != 0)
        return -1;
    if (target)
        return error_wrap(err, "cannot %s '%.*s' to '%.*s'", action, TWO_PATHS_SHOWN, path,
                          TWO_PATHS_SHOWN, target);
    return error_wrap(err, "cannot %s '%.*s'", action, PATH_SHOWN, path);
}

int v1_file_mode(const char *field, const char *text, uint32_t *ret_mode, struct error *err)
{
    size_t length = strlen(text);
    uint32_t mode = 0;

    if (length < 3 || length > 4 || strspn(text, "01234567") != length)
        return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' is 3 or 4 octal digits", field);
    for (; *text; text++)
        mode = mode * 8 + (uint32_t)(*text - '0');
    *ret_mode = mode;
    return 0;
}
