/* How files are shown and named in /v1/sandboxes/{id}/files (docs/api/files.md). */
#ifndef SERVER_HANDLERS_V1_FILE_VIEW_H
#define SERVER_HANDLERS_V1_FILE_VIEW_H

#include "server/handlers/call.h"
#include "server/handlers/schemas.h"
#include "server/services/files.h"

enum { V1_FILE_TAG_SIZE = 64, V1_FILE_USER_MAX = AGENT_USER_MAX - 1 };

/* A text of `type_` at `member_`, as long as it is; left out where it is NULL and `omitted_`. */
#define V1_FILE_TEXT(type_, name_, required_, omitted_, member_, about_)                           \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_STRING, .required = (required_), .omitted = (omitted_), \
        .max = INT64_MAX, .offset = offsetof(type_, member_), .about = (about_)                    \
    }

extern const struct json_table v1_file_table;
extern const struct json_table v1_file_list_table;

/* The path of what is at `path` below `folder`, or that itself for ""; allocated, NULL when memory
 * is short. */
char *v1_file_path(const char *folder, const char *path);

/* What a type is called. */
const char *v1_file_type(enum agent_file_type type);

/* The entity tag of a file's content: modification time, size and inode. */
void v1_file_tag(const struct agent_file_entry *entry, char tag[static V1_FILE_TAG_SIZE]);

/* One file as JSON; `folder` is what it was listed in, or its own path. NULL when memory is short.
 */
cJSON *v1_file_view(const char *folder, const struct agent_file_entry *entry);

/* The list of a folder: at most `limit` of its entries, behind the first `skipped`. */
cJSON *v1_file_list_view(const char *folder, const struct agent_file_list *list, size_t limit,
                         uint64_t skipped);

/*
 * Puts in front of what is wrong with a file what could not be done: "cannot read '/sandbox/x': ".
 * `action` has a verb and its prepositions, `target` may be NULL. What is wrong with anything else
 * stays as it is. Returns -1.
 */
int v1_file_cannot(const char *action, const char *path, const char *target, struct error *err);

/* The pattern of a mode, for tables, and its value: octal digits. */
#define V1_FILE_MODE_SCHEMA "{\"pattern\":\"^[0-7]{3,4}$\"}"
int v1_file_mode(const char *field, const char *text, uint32_t *ret_mode, struct error *err);

#endif
