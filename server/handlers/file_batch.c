#include "server/handlers/file_batch.h"

#include "lib/base/base64.h"
#include "server/handlers/v1_file_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void file_batch_where(size_t i, const char *name, char *ret_where, size_t size)
{
    (void)snprintf(ret_where, size, "files[%zu]%s%s", i, name ? "." : "", name ? name : "");
}

int file_batch_allocate(struct file_batch *batch, size_t count, struct error *err)
{
    size_t room = count > 0 ? count : 1; /* calloc may answer NULL to nothing */

    batch->count = count;
    batch->names = calloc(room, sizeof(*batch->names));
    batch->contents = calloc(room, sizeof(*batch->contents));
    batch->results = calloc(room, sizeof(*batch->results));
    batch->paths = calloc(room, sizeof(*batch->paths));
    batch->decoded = calloc(room, sizeof(*batch->decoded));
    if (batch->names && batch->contents && batch->results && batch->paths && batch->decoded)
        return 0;
    return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
}

void file_batch_free(struct file_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->paths)
            free(batch->paths[i]);
        if (batch->decoded)
            free(batch->decoded[i]);
    }
    free(batch->names);
    free(batch->contents);
    free(batch->results);
    free(batch->paths);
    free(batch->decoded);
}

static int take_path(struct file_batch *batch, size_t i, const char *path, struct error *err)
{
    char field[ERROR_FIELD_MAX];
    char resolved[FILES_PATH_SIZE];

    file_batch_where(i, "path", field, sizeof(field));
    if (files_resolve(field, path, resolved, err) < 0)
        return -1;
    batch->names[i] = path;
    batch->contents[i].path = batch->paths[i] = strdup(resolved);
    return batch->paths[i] ? 0 : error_set(err, ERR_UNAVAILABLE, "there is no memory for a path");
}

static int take_content(struct file_batch *batch, size_t i, const struct file_batch_entry *entry,
                        struct error *err)
{
    struct agent_file_content *content = &batch->contents[i];
    char field[ERROR_FIELD_MAX];

    content->data = entry->content;
    content->size = strlen(entry->content);
    if (!entry->encoding || strcmp(entry->encoding, "utf-8") == 0)
        return 0;
    file_batch_where(i, "content", field, sizeof(field));
    if (!base64_decode(entry->content, content->size, &batch->decoded[i], &content->size))
        return error_set_field(err, ERR_NOT_POSSIBLE, field, "'%s' is not base64", field);
    content->data = batch->decoded[i];
    return 0;
}

int file_batch_take(struct file_batch *batch, size_t i, const struct file_batch_entry *entry,
                    struct error *err)
{
    batch->contents[i].user = entry->user;
    batch->contents[i].mode = entry->mode;
    batch->contents[i].keeps_mode = entry->keeps_mode;
    return take_path(batch, i, entry->path, err) < 0 ? -1 : take_content(batch, i, entry, err);
}

void file_batch_explain(struct file_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->results[i].message[0] != '\0')
            (void)v1_file_cannot("write", batch->paths[i], NULL, &batch->results[i]);
}
