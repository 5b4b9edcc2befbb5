#include "server/handlers/sandbox_request.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/services/environment.h"
#include "server/services/runtimes.h"

#include <string.h>

enum {
    FILE_MAX = 16 << 20,
    ENV_MAX = 256,
};

struct file_body {
    const char *path;
    const char *content;
    const char *encoding;
    bool is_executable;
};

static const struct json_field file_fields[] = {
    {.name = "path",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = 1024,
     .offset = offsetof(struct file_body, path)},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 0,
     .max = FILE_MAX,
     .offset = offsetof(struct file_body, content)},
    {.name = "encoding",
     .type = JSON_TYPE_STRING,
     .min = 0,
     .max = 16,
     .offset = offsetof(struct file_body, encoding)},
    {.name = "is_executable",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct file_body, is_executable)},
};

const struct json_table sandbox_file_table = JSON_TABLE("File", file_fields);

static int fill_content(const struct file_body *body, const char *where, struct sandbox_file *file,
                        struct error *err)
{
    char field[ERROR_FIELD_MAX];

    if (!body->encoding || strcmp(body->encoding, "utf-8") == 0) {
        file->size = strlen(body->content);
        file->content = strdup(body->content);
        return file->content ? 0 : error_set(err, ERR_INTERNAL, "out of memory");
    }
    if (strcmp(body->encoding, "base64") != 0) {
        (void)snprintf(field, sizeof(field), "%s.encoding", where);
        return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must be utf-8 or base64",
                               field);
    }
    if (base64_decode(body->content, strlen(body->content), &file->content, &file->size))
        return 0;
    (void)snprintf(field, sizeof(field), "%s.content", where);
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' is not base64", field);
}

static int decode_file(const cJSON *item, size_t index, struct sandbox_file *file,
                       struct error *err)
{
    struct file_body body = {0};
    char where[24];
    char field[ERROR_FIELD_MAX];

    (void)snprintf(where, sizeof(where), "files[%zu]", index);
    if (json_decode(item, file_fields, ARRAY_SIZE(file_fields), where, &body, err) < 0)
        return -1;
    (void)snprintf(field, sizeof(field), "%s.path", where);
    if (sandbox_path_resolve(body.path, field, &file->path, err) < 0)
        return -1;
    file->executable = body.is_executable;
    return fill_content(&body, where, file, err);
}

int sandbox_request_files(const cJSON *array, struct sandbox_files *ret_files, struct error *err)
{
    _cleanup_(sandbox_files_free) struct sandbox_files files = {0};
    size_t count;
    const cJSON *item;

    if (!cJSON_IsArray(array))
        return error_set_field(err, ERR_INVALID_FIELD, "files", "'files' must be an array");
    count = (size_t)cJSON_GetArraySize(array);
    if (count > SANDBOX_FILES_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "files",
                               "'files' must have at most %d entries", SANDBOX_FILES_MAX);
    if (count == 0)
        return 0;
    files.items = calloc(count, sizeof(*files.items));
    if (!files.items)
        return error_set(err, ERR_INTERNAL, "out of memory");
    cJSON_ArrayForEach(item, array)
    {
        struct sandbox_file *file = &files.items[files.count];

        if (decode_file(item, files.count++, file, err) < 0)
            return -1;
    }
    *ret_files = files;
    files = (struct sandbox_files){0};
    return 0;
}

static int copy_text(const char *text, char **ret_copy, struct error *err)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        return error_set(err, ERR_INTERNAL, "out of memory");
    *ret_copy = copy;
    return 0;
}

static int check_body(const struct sandbox_definition_body *body, struct error *err)
{
    _cleanup_free_ char *path = NULL;

    if (!runtime_find(body->runtime))
        return error_set_field(err, ERR_INVALID_FIELD, "runtime", "'runtime' must be one of %s",
                               runtime_names());
    /* A command line is no path; anything else must be one that files may have. */
    if (body->entry_point && !strpbrk(body->entry_point, " \t\n") &&
        sandbox_path_resolve(body->entry_point, "entry_point", &path, err) < 0)
        return -1;
    return body->env_vars ? environment_check(body->env_vars, body->env_field, false, err) : 0;
}

static int fill_definition(const struct sandbox_definition_body *body,
                           struct sandbox_definition *definition, struct error *err)
{
    definition->timeout_ms = (uint32_t)body->timeout_ms;
    definition->memory_limit_mb = (uint32_t)body->memory_limit_mb;
    definition->code_size = strlen(body->code);
    definition->env_json = body->env_vars ? cJSON_PrintUnformatted(body->env_vars) : strdup("{}");
    if (!definition->env_json)
        return error_set(err, ERR_INTERNAL, "out of memory");
    if (copy_text(body->runtime, &definition->runtime, err) < 0 ||
        copy_text(body->code, &definition->code, err) < 0 ||
        copy_text(body->entry_point, &definition->entry_point, err) < 0)
        return -1;
    return body->files ? sandbox_request_files(body->files, &definition->files, err) : 0;
}

int sandbox_request_definition(const struct sandbox_definition_body *body,
                               struct sandbox_definition *ret_definition, struct error *err)
{
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {0};

    if (check_body(body, err) < 0 || fill_definition(body, &definition, err) < 0)
        return -1;
    *ret_definition = definition;
    definition = (struct sandbox_definition){0};
    return 0;
}

int sandbox_request_create(const cJSON *json, const struct sandbox_limits *limits,
                           struct sandbox_definition *ret_definition, struct error *err)
{
    const struct json_field fields[] = {
        {.name = "runtime",
         .type = JSON_TYPE_STRING,
         .required = true,
         .min = 1,
         .max = 32,
         .offset = offsetof(struct sandbox_definition_body, runtime)},
        {.name = "code",
         .type = JSON_TYPE_STRING,
         .required = true,
         .min = 1,
         .max = SANDBOX_CODE_MAX,
         .offset = offsetof(struct sandbox_definition_body, code)},
        {.name = "entry_point",
         .type = JSON_TYPE_STRING,
         .min = 1,
         .max = 1024,
         .offset = offsetof(struct sandbox_definition_body, entry_point)},
        {.name = "timeout_ms",
         .type = JSON_TYPE_INTEGER,
         .min = 1,
         .max = limits->max_timeout_ms,
         .offset = offsetof(struct sandbox_definition_body, timeout_ms)},
        {.name = "memory_limit_mb",
         .type = JSON_TYPE_INTEGER,
         .min = 16,
         .max = limits->max_memory_mb,
         .offset = offsetof(struct sandbox_definition_body, memory_limit_mb)},
        {.name = "env_vars",
         .type = JSON_TYPE_OBJECT,
         .min = 0,
         .max = ENV_MAX,
         .offset = offsetof(struct sandbox_definition_body, env_vars)},
        {.name = "files",
         .type = JSON_TYPE_ARRAY,
         .min = 0,
         .max = SANDBOX_FILES_MAX,
         .offset = offsetof(struct sandbox_definition_body, files)},
    };
    struct sandbox_definition_body body = {
        .timeout_ms = limits->default_timeout_ms,
        .memory_limit_mb = limits->default_memory_mb,
        .env_field = "env_vars",
    };

    if (json_decode(json, fields, ARRAY_SIZE(fields), "", &body, err) < 0)
        return -1;
    return sandbox_request_definition(&body, ret_definition, err);
}
