#include "server/handlers/sandbox_view.h"

#include "lib/base/util.h"
#include "server/handlers/sandbox_request.h"
#include "server/services/runtimes.h"

#include <string.h>

/* As the dialect answers a number that no configuration bounds. */
#define ANY_COUNT INT32_MAX

struct sandbox_shown {
    struct id id;
    const char *runtime;
    const char *status;
    const char *entry_point;
    int64_t timeout_ms;
    int64_t memory_limit_mb;
    int64_t files;
    int64_t created_usec;
    int64_t last_active_usec;
    int64_t expires_usec;
};

static const struct json_field sandbox_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct sandbox_shown, id)},
    {.name = "runtime",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = RUNTIME_CHOICES,
     .offset = offsetof(struct sandbox_shown, runtime)},
    {.name = "status",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "Created|Running|Completed|Failed",
     .about = "Created: never run. Completed: the last run exited with 0.",
     .offset = offsetof(struct sandbox_shown, status)},
    {.name = "entry_point",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = SANDBOX_PATH_MAX,
     .offset = offsetof(struct sandbox_shown, entry_point)},
    {.name = "timeout_ms",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 1,
     .max = ANY_COUNT,
     .offset = offsetof(struct sandbox_shown, timeout_ms)},
    {.name = "memory_limit_mb",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 1,
     .max = ANY_COUNT,
     .offset = offsetof(struct sandbox_shown, memory_limit_mb)},
    {.name = "files",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = ANY_COUNT,
     .about = "How many its definition has.",
     .offset = offsetof(struct sandbox_shown, files)},
    {.name = "created_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct sandbox_shown, created_usec)},
    {.name = "last_active_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct sandbox_shown, last_active_usec)},
    {.name = "expires_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .about = "When it is removed unless it is used.",
     .offset = offsetof(struct sandbox_shown, expires_usec)},
};
const struct json_table sandbox_table = JSON_TABLE("StoredSandbox", sandbox_fields);

struct list_shown {
    cJSON *sandboxes;
    const char *next_cursor;
};

static const struct json_field sandbox_list_fields[] = {
    {.name = "sandboxes",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = SANDBOX_PAGE_MAX,
     .of = &sandbox_table,
     .offset = offsetof(struct list_shown, sandboxes)},
    {.name = "next_cursor",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 63,
     .about = "`cursor` of the next page; null: there is none.",
     .offset = offsetof(struct list_shown, next_cursor)},
};
const struct json_table sandbox_list_table = JSON_TABLE("StoredSandboxPage", sandbox_list_fields);

struct deleted_shown {
    struct id id;
    bool deleted;
};

static const struct json_field sandbox_deleted_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct deleted_shown, id)},
    {.name = "deleted",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct deleted_shown, deleted)},
};
const struct json_table sandbox_deleted_table =
    JSON_TABLE("StoredSandboxDeleted", sandbox_deleted_fields);

struct files_written_shown {
    bool success;
    int64_t count;
};

static const struct json_field sandbox_files_written_fields[] = {
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct files_written_shown, success)},
    {.name = "files_written",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = SANDBOX_FILES_MAX,
     .offset = offsetof(struct files_written_shown, count)},
};
const struct json_table sandbox_files_written_table =
    JSON_TABLE("SandboxFilesWritten", sandbox_files_written_fields);

static const char *status_word(const struct sandbox_record *record)
{
    if (record->state == SANDBOX_RUNNING)
        return "Running";
    if (record->state == SANDBOX_FAILED)
        return "Failed";
    if (!record->has_last_run)
        return "Created";
    return record->last_run_state == PROCESS_COMPLETED ? "Completed" : "Failed";
}

cJSON *sandbox_view(const struct sandbox_record *record)
{
    struct sandbox_shown shown = {
        .id = record->id,
        .runtime = record->runtime,
        .status = status_word(record),
        .entry_point = record->entry_point,
        .timeout_ms = record->timeout_ms,
        .memory_limit_mb = record->memory_limit_mb,
        .files = record->file_count,
        .created_usec = record->created_usec,
        .last_active_usec = record->last_active_usec,
        .expires_usec = record->expires_usec,
    };

    return json_encode(&sandbox_table, &shown);
}

cJSON *sandbox_list_view(const struct sandbox_list *list)
{
    struct list_shown shown = {.sandboxes = cJSON_CreateArray()};
    char cursor[ID_TEXT_SIZE];

    for (size_t i = 0; i < list->count; i++)
        json_append(&shown.sandboxes, sandbox_view(&list->items[i]));
    if (list->more) {
        id_format(&list->items[list->count - 1].id, cursor);
        shown.next_cursor = cursor;
    }
    return json_encode(&sandbox_list_table, &shown);
}

cJSON *sandbox_deleted_view(const struct id *sandbox)
{
    struct deleted_shown shown = {*sandbox, true};

    return json_encode(&sandbox_deleted_table, &shown);
}

cJSON *sandbox_files_written_view(size_t count)
{
    struct files_written_shown shown = {true, (int64_t)count};

    return json_encode(&sandbox_files_written_table, &shown);
}
