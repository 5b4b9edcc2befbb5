/* Files of the container dialect: paths are from /sandbox on, contents are text. */
#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/file_batch.h"
#include "server/handlers/project_containers.h"
#include "server/handlers/v1_file_view.h"
#include "server/services/files.h"
#include "server/services/text.h"

#include <stdio.h>
#include <string.h>

enum {
    PATH_MAX_CHARACTERS = 4095,
    LIST_MAX = AGENT_LIST_MAX - 1,
};

/* --- write */

struct file_body {
    const char *path;
    const char *content;
};

static const struct json_field file_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct file_body, path),
     .about = "From /sandbox on, or absolute inside the container."},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct file_body, content)},
};
const struct json_table project_container_file_table =
    JSON_TABLE("ProjectContainerFile", file_fields);

const struct json_field project_container_batch_body = {
    .name = "files",
    .type = JSON_TYPE_ARRAY,
    .max = FILE_BATCH_MAX,
    .of = &project_container_file_table,
    .about = "Files to write; all are checked before the first is written.",
};

struct written_view {
    bool success;
    const char *path;
};

static const struct json_field written_fields[] = {
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct written_view, success)},
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct written_view, path)},
};
const struct json_table project_container_written_table =
    JSON_TABLE("ProjectContainerWritten", written_fields);

int handle_project_container_write(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_cjson_ cJSON *json = NULL;
    struct agent_file_content content = {
        .user = SANDBOX_USER, .mode = FILE_BATCH_MODE, .keeps_mode = true};
    struct written_view view = {.success = true};
    struct file_body body;
    struct error result;
    char path[FILES_PATH_SIZE];

    if (call_body(call, &project_container_file_table, &json, &body, err) < 0 ||
        files_resolve("path", body.path, path, err) < 0 ||
        project_container_of(call, &record, err) < 0)
        return -1;
    content.path = path;
    content.data = body.content;
    content.size = strlen(body.content);
    if (files_write(call->services, &call->caller, &record.id, &content, 1, &result, err) < 0)
        return -1;
    if (result.message[0] != '\0') {
        *err = result;
        return v1_file_cannot("write", path, NULL, err);
    }
    view.path = body.path;
    return call_respond_json(call, 200, json_encode(&project_container_written_table, &view), err);
}

/* --- batch */

struct batch_view {
    bool success;
    int64_t files_written;
    cJSON *errors;
};

static const struct json_field batch_fields[] = {
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct batch_view, success),
     .about = "All of them were written."},
    {.name = "files_written",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = FILE_BATCH_MAX,
     .offset = offsetof(struct batch_view, files_written)},
    {.name = "errors",
     .type = JSON_TYPE_MAP,
     .omitted = true,
     .max = FILE_BATCH_MAX,
     .offset = offsetof(struct batch_view, errors),
     .about = "Why, by the path of each file that was not written; left out when all were."},
};
const struct json_table project_container_batch_result_table =
    JSON_TABLE("ProjectContainerBatchResult", batch_fields);

static int take_file(struct file_batch *batch, size_t i, const cJSON *item, struct error *err)
{
    struct file_batch_entry entry = {
        .user = SANDBOX_USER, .mode = FILE_BATCH_MODE, .keeps_mode = true};
    struct file_body body;
    char where[FILE_BATCH_WHERE_SIZE];

    file_batch_where(i, NULL, where, sizeof(where));
    if (json_decode(item, file_fields, ARRAY_SIZE(file_fields), where, &body, err) < 0)
        return -1;
    entry.path = body.path;
    entry.content = body.content;
    return file_batch_take(batch, i, &entry, err);
}

static int take_files(const cJSON *array, struct file_batch *batch, struct error *err)
{
    const cJSON *item;
    size_t i = 0;

    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) > FILE_BATCH_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "files",
                               "the body must be an array of at most %d files", FILE_BATCH_MAX);
    if (file_batch_allocate(batch, (size_t)cJSON_GetArraySize(array), err) < 0)
        return -1;
    cJSON_ArrayForEach(item, array)
    {
        if (take_file(batch, i++, item, err) < 0)
            return -1;
    }
    return 0;
}

static cJSON *batch_view(const struct file_batch *batch)
{
    struct batch_view view = {.success = true};

    for (size_t i = 0; i < batch->count; i++) {
        if (batch->results[i].message[0] == '\0') {
            view.files_written++;
            continue;
        }
        view.success = false;
        if (!view.errors)
            view.errors = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(view.errors, batch->names[i], batch->results[i].message);
    }
    return json_encode(&project_container_batch_result_table, &view);
}

int handle_project_container_batch(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(file_batch_free) struct file_batch batch = {.count = 0};
    _cleanup_cjson_ cJSON *json = NULL;

    if (call_json_body(call, false, &json, err) < 0 || take_files(json, &batch, err) < 0 ||
        project_container_of(call, &record, err) < 0 ||
        files_write(call->services, &call->caller, &record.id, batch.contents, batch.count,
                    batch.results, err) < 0)
        return -1;
    file_batch_explain(&batch);
    return call_respond_json(call, 200, batch_view(&batch), err);
}

/* --- list */

struct list_query {
    const char *path;
};

static const struct json_field list_query_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct list_query, path),
     .about = "A folder, from /sandbox on, which it is when it is not given."},
};
const struct json_table project_container_list_query =
    JSON_TABLE("ProjectContainerListQuery", list_query_fields);

struct entry_view {
    const char *name;
    const char *path;
    const char *type;
    int64_t size;
};

static const struct json_field entry_fields[] = {
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct entry_view, name),
     .about = "U+FFFD stands for a byte that is not UTF-8."},
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct entry_view, path),
     .about = "The same behind the path that was asked for."},
    {.name = "type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "file|directory|symlink|other",
     .offset = offsetof(struct entry_view, type)},
    {.name = "size",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .offset = offsetof(struct entry_view, size),
     .about = "Bytes; 0 for what is no file."},
};
static const struct json_table entry_table = JSON_TABLE("ProjectContainerEntry", entry_fields);

struct list_view {
    cJSON *files;
    bool truncated;
};

static const struct json_field list_fields[] = {
    {.name = "files",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = LIST_MAX,
     .of = &entry_table,
     .offset = offsetof(struct list_view, files),
     .about = "By name."},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct list_view, truncated),
     .about = "There are more."},
};
const struct json_table project_container_list_table =
    JSON_TABLE("ProjectContainerList", list_fields);

static const char *type_word(enum agent_file_type type)
{
    switch (type) {
    case AGENT_FILE_REGULAR:
        return "file";
    case AGENT_FILE_FOLDER:
        return "directory";
    case AGENT_FILE_LINK:
        return "symlink";
    default:
        return "other";
    }
}

/* The path as the client writes it: behind the folder that he asked for. */
static char *shown_path(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    char *path;

    while (length > 1 && folder[length - 1] == '/')
        length--;
    if (length == 0 || (length == 1 && folder[0] == '.'))
        return strdup(name);
    if (asprintf(&path, "%.*s%s%s", (int)length, folder, folder[length - 1] == '/' ? "" : "/",
                 name) < 0)
        return NULL;
    return path;
}

static cJSON *entry_view(const char *folder, const struct agent_file_entry *entry)
{
    bool exact;
    _cleanup_free_ char *name = text_from_bytes(entry->path, strlen(entry->path), &exact);
    _cleanup_free_ char *path = name ? shown_path(folder, name) : NULL;
    struct entry_view view = {
        .name = name,
        .path = path,
        .type = type_word(entry->type),
        .size = entry->type == AGENT_FILE_REGULAR ? (int64_t)entry->size : 0,
    };

    return path ? json_encode(&entry_table, &view) : NULL;
}

static cJSON *list_view(const char *folder, struct agent_file_list *list)
{
    size_t count = list->count < LIST_MAX ? list->count : LIST_MAX;
    struct list_view view = {.files = cJSON_CreateArray(), .truncated = list->count > LIST_MAX};

    agent_file_list_sort(list, count);
    for (size_t i = 0; i < count; i++)
        json_append(&view.files, entry_view(folder, &list->items[i]));
    return json_encode(&project_container_list_table, &view);
}

int handle_project_container_list(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};
    struct call_query_storage storage;
    struct list_query query = {.path = ""};
    char path[FILES_PATH_SIZE];
    const struct agent_file_request request = {
        .type = AGENT_FRAME_FOLDER,
        .user = SANDBOX_USER,
        .path = path,
        .number = 1,
        .limit = LIST_MAX + 1, /* one more tells whether there are more */
    };

    if (call_query(call, &project_container_list_query, &storage, &query, err) < 0 ||
        files_resolve("path", query.path, path, err) < 0 ||
        project_container_of(call, &record, err) < 0)
        return -1;
    if (files_list(call->services, &call->caller, &record.id, &request, &list, err) < 0)
        return v1_file_cannot("list", path, NULL, err);
    return call_respond_json(call, 200, list_view(query.path, &list), err);
}

/* --- read */

struct content_view {
    const char *path;
    const char *content;
    const char *content_base64;
};

static const struct json_field content_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct content_view, path)},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct content_view, content),
     .about = "Bytes that are not UTF-8 show as U+FFFD."},
    {.name = "content_base64",
     .type = JSON_TYPE_STRING,
     .omitted = true,
     .max = INT32_MAX,
     .offset = offsetof(struct content_view, content_base64),
     .about = "The exact bytes where content is not those, else left out."},
};
const struct json_table project_container_content_table =
    JSON_TABLE("ProjectContainerContent", content_fields);

/* What stands behind files/ in the request's path. */
static int take_path(const struct call *call, char path[static FILES_PATH_SIZE], struct error *err)
{
    const char *segment;
    size_t used = 0;

    for (size_t i = call->rest; (segment = http_request_segment(call->request, i)) != NULL; i++) {
        int size = snprintf(path + used, FILES_PATH_SIZE - used, "%s%s", i > call->rest ? "/" : "",
                            segment);

        if (size < 0 || (size_t)size >= FILES_PATH_SIZE - used)
            return error_set_field(err, ERR_NOT_POSSIBLE, "path",
                                   "'path' must have at most %d bytes", FILES_PATH_SIZE - 1);
        used += (size_t)size;
    }
    return 0;
}

static int respond_content(struct call *call, const char *path, const struct files_bytes *bytes,
                           struct error *err)
{
    _cleanup_free_ char *content = NULL;
    _cleanup_free_ char *base64 = NULL;
    struct content_view view = {.path = path};

    if (!output_view(bytes->data, bytes->size, &content, &base64))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the answer");
    view.content = content;
    view.content_base64 = base64;
    return call_respond_json(call, 200, json_encode(&project_container_content_table, &view), err);
}

int handle_project_container_read(struct call *call, struct error *err)
{
    size_t most = (size_t)atomic_load(&call->services->config)->server_max_body_bytes;
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(files_bytes_free) struct files_bytes bytes = {.data = NULL};
    char name[FILES_PATH_SIZE];
    char path[FILES_PATH_SIZE];

    /* One byte more than may be answered tells a larger file. */
    if (take_path(call, name, err) < 0 || files_resolve("path", name, path, err) < 0 ||
        project_container_of(call, &record, err) < 0)
        return -1;
    if (files_read(call->services, &call->caller, &record.id, SANDBOX_USER, path, 0, most + 1,
                   &bytes, err) < 0)
        return v1_file_cannot("read", path, NULL, err);
    if (bytes.size > most)
        return error_set_field(err, ERR_TOO_LARGE, "path", "the file has more than %zu bytes",
                               most);
    return respond_content(call, name, &bytes, err);
}
