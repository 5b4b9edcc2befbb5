#include "server/handlers/sandbox_request.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/handlers/schemas.h"
#include "server/services/environment.h"
#include "server/services/runtimes.h"

#include <string.h>

enum {
    FILE_MAX = 16 << 20,
    ENV_MAX = 256,
    /* The configuration may set lower limits, no higher ones. */
    TIMEOUT_MAX_MS = 86400000,
    MEMORY_MIN_MB = 16,
    MEMORY_MAX_MB = 1048576,
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
     .max = SANDBOX_PATH_MAX,
     .offset = offsetof(struct file_body, path),
     .schema = SANDBOX_PATH_SCHEMA,
     .about = "Where it lands: a relative path under /sandbox/. No `..`; at most 1024 bytes."},
    {.name = "content",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 0,
     .max = FILE_MAX,
     .offset = offsetof(struct file_body, content),
     .about = "Its bytes, as `encoding` says."},
    {.name = "encoding",
     .type = JSON_TYPE_STRING,
     .choices = "utf-8|base64",
     .offset = offsetof(struct file_body, encoding),
     .about = "utf-8 when it is not given."},
    {.name = "is_executable",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct file_body, is_executable),
     .about = "Mode 0755 instead of 0644."},
};
const struct json_table sandbox_file_table = JSON_TABLE_WITH(
    "SandboxFile", file_fields,
    "{\"if\":{\"properties\":{\"encoding\":{\"const\":\"base64\"}},\"required\":[\"encoding\"]},"
    "\"then\":{\"properties\":{\"content\":{\"pattern\":"
    "\"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/"
    "]{2}[AEIMQUYcgkosw048]=)?$\"}}}}");

const struct json_field sandbox_files_body = {
    .name = "files",
    .type = JSON_TYPE_ARRAY,
    .max = SANDBOX_FILES_MAX,
    .of = &sandbox_file_table,
    .about = "Files to add, or to replace.",
};

static const struct json_field create_fields[] = {
    {.name = "runtime",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = RUNTIME_CHOICES,
     .offset = offsetof(struct sandbox_definition_body, runtime),
     .about = "What runs the code."},
    {.name = "code",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = SANDBOX_CODE_MAX,
     .offset = offsetof(struct sandbox_definition_body, code),
     .about = "The program; at most 1 MiB."},
    {.name = "entry_point",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = SANDBOX_PATH_MAX,
     .offset = offsetof(struct sandbox_definition_body, entry_point),
     .schema = SANDBOX_ENTRY_POINT_SCHEMA,
     .about = "The file that the code lands in and that is run; with white space in it, a command "
              "line for /bin/sh."},
    {.name = "timeout_ms",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = TIMEOUT_MAX_MS,
     .offset = offsetof(struct sandbox_definition_body, timeout_ms),
     .about = "Time limit of an execution; the installation may allow less."},
    {.name = "memory_limit_mb",
     .type = JSON_TYPE_INTEGER,
     .min = MEMORY_MIN_MB,
     .max = MEMORY_MAX_MB,
     .offset = offsetof(struct sandbox_definition_body, memory_limit_mb),
     .about = "Memory limit; the installation may allow less."},
    {.name = "env_vars",
     .type = JSON_TYPE_OBJECT,
     .max = ENV_MAX,
     .offset = offsetof(struct sandbox_definition_body, env_vars),
     .schema = SCHEMA_VARIABLES,
     .about = "Environment variables; a value has at most 32 KiB."},
    {.name = "files",
     .type = JSON_TYPE_ARRAY,
     .max = SANDBOX_FILES_MAX,
     .of = &sandbox_file_table,
     .offset = offsetof(struct sandbox_definition_body, files),
     .about = "Files beside the code."},
};
const struct json_table sandbox_create_table = JSON_TABLE("SandboxDefinition", create_fields);

static int fill_content(const struct file_body *body, const char *where, struct sandbox_file *file,
                        struct error *err)
{
    char field[ERROR_FIELD_MAX];

    if (!body->encoding || strcmp(body->encoding, "utf-8") == 0) {
        file->size = strlen(body->content);
        file->content = strdup(body->content);
        return file->content ? 0 : error_no_memory(err);
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
        return error_no_memory(err);
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
        return error_no_memory(err);
    *ret_copy = copy;
    return 0;
}

/* The configured limits, which a reload may change. */
static int check_limits(const struct sandbox_definition_body *body,
                        const struct sandbox_limits *limits, struct error *err)
{
    if (body->timeout_ms > limits->max_timeout_ms)
        return error_set_field(err, ERR_INVALID_FIELD, "timeout_ms", "'timeout_ms' must be 1 to %u",
                               limits->max_timeout_ms);
    if (body->memory_limit_mb > limits->max_memory_mb)
        return error_set_field(err, ERR_INVALID_FIELD, "memory_limit_mb",
                               "'memory_limit_mb' must be %d to %u", MEMORY_MIN_MB,
                               limits->max_memory_mb);
    return 0;
}

static int check_body(const struct sandbox_definition_body *body, struct error *err)
{
    _cleanup_free_ char *path = NULL;

    if (strlen(body->code) > SANDBOX_CODE_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "code", "'code' must have 1 to %d bytes",
                               SANDBOX_CODE_MAX);
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
        return error_no_memory(err);
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

static int64_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

int sandbox_request_create(const cJSON *json, const struct sandbox_limits *limits,
                           struct sandbox_definition *ret_definition, struct error *err)
{
    struct sandbox_definition_body body = {
        .timeout_ms = smaller(limits->default_timeout_ms, limits->max_timeout_ms),
        .memory_limit_mb = smaller(limits->default_memory_mb, limits->max_memory_mb),
        .env_field = "env_vars",
    };

    if (json_decode(json, create_fields, ARRAY_SIZE(create_fields), "", &body, err) < 0 ||
        check_limits(&body, limits, err) < 0)
        return -1;
    return sandbox_request_definition(&body, ret_definition, err);
}
