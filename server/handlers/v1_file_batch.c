/* Many files in one request: all are checked before the first is written. */
#include "lib/base/util.h"
#include "server/handlers/file_batch.h"
#include "server/handlers/v1_files.h"

enum { PATH_MAX_CHARACTERS = 4095 };

struct file_body {
    const char *path;
    const char *content;
    const char *encoding;
    const char *mode;
};

static const struct json_field file_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct file_body, path),
     .about = "Absolute, or from /sandbox on."},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct file_body, content),
     .about = "Its bytes, as `encoding` says."},
    {.name = "encoding",
     .type = JSON_TYPE_STRING,
     .choices = "utf-8|base64",
     .offset = offsetof(struct file_body, encoding),
     .about = "utf-8 when it is not given."},
    {.name = "mode",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 4,
     .schema = V1_FILE_MODE_SCHEMA,
     .offset = offsetof(struct file_body, mode),
     .about = "Octal digits. Without it a file that is there keeps its own; a new one has 0644."},
};
static const struct json_table file_table = JSON_TABLE("FileBatchEntry", file_fields);

struct batch_body {
    const cJSON *files;
    const char *user;
};

static const struct json_field batch_fields[] = {
    {.name = "files",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .min = 1,
     .max = FILE_BATCH_MAX,
     .of = &file_table,
     .offset = offsetof(struct batch_body, files)},
    {.name = "user",
     .type = JSON_TYPE_STRING,
     .schema = SCHEMA_USER,
     .min = 1,
     .max = V1_FILE_USER_MAX,
     .offset = offsetof(struct batch_body, user),
     .about = "Whose rights count, and whose the files are; 'user'."},
};
const struct json_table v1_file_batch_table = JSON_TABLE("FileBatch", batch_fields);

struct result_shown {
    const char *path;
    bool written;
    const char *code;
    const char *detail;
};

static const struct json_field result_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = PATH_MAX_CHARACTERS,
     .offset = offsetof(struct result_shown, path)},
    {.name = "written",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_shown, written)},
    {.name = "code",
     .type = JSON_TYPE_STRING,
     .max = ERROR_FIELD_MAX,
     .offset = offsetof(struct result_shown, code),
     .about = "Why it was not written, as the code of an error."},
    {.name = "detail",
     .type = JSON_TYPE_STRING,
     .max = ERROR_MESSAGE_MAX,
     .offset = offsetof(struct result_shown, detail)},
};
static const struct json_table result_table = JSON_TABLE("FileBatchResultEntry", result_fields);

struct results_shown {
    cJSON *items;
    int64_t written;
    int64_t failed;
};

static const struct json_field results_fields[] = {
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = FILE_BATCH_MAX,
     .of = &result_table,
     .offset = offsetof(struct results_shown, items),
     .about = "In the order of the request."},
    {.name = "written",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = FILE_BATCH_MAX,
     .offset = offsetof(struct results_shown, written)},
    {.name = "failed",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = FILE_BATCH_MAX,
     .offset = offsetof(struct results_shown, failed)},
};
const struct json_table v1_file_batch_result_table = JSON_TABLE("FileBatchResult", results_fields);

static int take_file(struct file_batch *batch, size_t i, const cJSON *item, const char *user,
                     struct error *err)
{
    struct file_body body = {.encoding = NULL};
    struct file_batch_entry entry = {.user = user, .mode = FILE_BATCH_MODE};
    char where[FILE_BATCH_WHERE_SIZE];
    char field[ERROR_FIELD_MAX];

    file_batch_where(i, NULL, where, sizeof(where));
    file_batch_where(i, "mode", field, sizeof(field));
    if (json_decode(item, file_fields, ARRAY_SIZE(file_fields), where, &body, err) < 0 ||
        (body.mode && v1_file_mode(field, body.mode, &entry.mode, err) < 0))
        return -1;
    entry.keeps_mode = !body.mode;
    entry.path = body.path;
    entry.content = body.content;
    entry.encoding = body.encoding;
    return file_batch_take(batch, i, &entry, err);
}

static int take_files(struct file_batch *batch, const struct batch_body *body, struct error *err)
{
    const cJSON *item;
    size_t i = 0;

    if (file_batch_allocate(batch, (size_t)cJSON_GetArraySize(body->files), err) < 0)
        return -1;
    cJSON_ArrayForEach(item, body->files)
    {
        if (take_file(batch, i++, item, body->user, err) < 0)
            return -1;
    }
    return 0;
}

static cJSON *view(const struct file_batch *batch)
{
    struct results_shown shown = {.items = cJSON_CreateArray()};

    for (size_t i = 0; i < batch->count; i++) {
        const struct error *error = &batch->results[i];
        bool written = error->message[0] == '\0';
        struct result_shown result = {
            .path = batch->paths[i],
            .written = written,
            .code = written ? NULL : error_code_name(error->code),
            .detail = written ? NULL : error->message,
        };

        json_append(&shown.items, json_encode(&result_table, &result));
        shown.written += written;
        shown.failed += !written;
    }
    return json_encode(&v1_file_batch_result_table, &shown);
}

int handle_v1_file_batch(struct call *call, struct error *err)
{
    _cleanup_(file_batch_free) struct file_batch batch = {.count = 0};
    struct batch_body body = {.user = SANDBOX_USER};
    _cleanup_cjson_ cJSON *json = NULL;

    if (call_body(call, &v1_file_batch_table, &json, &body, err) < 0 ||
        take_files(&batch, &body, err) < 0 ||
        files_write(call->services, &call->caller, &call->id, batch.contents, batch.count,
                    batch.results, err) < 0)
        return -1;
    file_batch_explain(&batch);
    return call_respond_json(call, 200, view(&batch), err);
}
