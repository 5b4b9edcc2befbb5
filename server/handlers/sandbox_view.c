#include "server/handlers/sandbox_view.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/handlers/sandbox_request.h"
#include "server/services/runtimes.h"
#include "server/services/text.h"

#include <signal.h>
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

static const struct json_field stages_fields[] = {
    {.name = "begin_us",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .about = "PostgreSQL: admission and definition.",
     .offset = offsetof(struct execution_stages, begin_usec)},
    {.name = "create_us",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .about = "From nothing to a listening agent.",
     .offset = offsetof(struct execution_stages, create_usec)},
    {.name = "run_us",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .about = "Files, command and output.",
     .offset = offsetof(struct execution_stages, run_usec)},
    {.name = "destroy_us",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .about = "Until nothing is left.",
     .offset = offsetof(struct execution_stages, destroy_usec)},
    {.name = "record_us",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .about = "PostgreSQL: the durable end.",
     .offset = offsetof(struct execution_stages, record_usec)},
};
static const struct json_table stages_table = JSON_TABLE("ExecutionStages", stages_fields);

struct execution_shown {
    struct id sandbox;
    bool success;
    const char *out;
    const char *out_base64;
    const char *err;
    const char *err_base64;
    int64_t exit_code;
    const char *signal;
    int64_t execution_time_ms;
    bool timed_out;
    bool oom_killed;
    bool truncated;
    bool recorded;
    struct execution_stages stages;
};

static const struct json_field execution_fields[] = {
    {.name = "sandbox_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct execution_shown, sandbox)},
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .about = "It exited with 0, within its time.",
     .offset = offsetof(struct execution_shown, success)},
    {.name = "stdout",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = ANY_COUNT,
     .about = "Bytes that are not UTF-8 show as U+FFFD.",
     .offset = offsetof(struct execution_shown, out)},
    {.name = "stdout_base64",
     .type = JSON_TYPE_STRING,
     .omitted = true,
     .max = ANY_COUNT,
     .about = "The exact bytes, where the text is not.",
     .offset = offsetof(struct execution_shown, out_base64)},
    {.name = "stderr",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = ANY_COUNT,
     .offset = offsetof(struct execution_shown, err)},
    {.name = "stderr_base64",
     .type = JSON_TYPE_STRING,
     .omitted = true,
     .max = ANY_COUNT,
     .about = "The exact bytes, where the text is not.",
     .offset = offsetof(struct execution_shown, err_base64)},
    {.name = "exit_code",
     .type = JSON_TYPE_INTEGER,
     .max = 255,
     .about = "null when no process returned one.",
     .offset = offsetof(struct execution_shown, exit_code)},
    {.name = "signal",
     .type = JSON_TYPE_STRING,
     .min = 4,
     .max = 15,
     .about = "SIGKILL, say; null when it exited.",
     .offset = offsetof(struct execution_shown, signal)},
    {.name = "execution_time_ms",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .offset = offsetof(struct execution_shown, execution_time_ms)},
    {.name = "timed_out",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .about = "The time limit ended it.",
     .offset = offsetof(struct execution_shown, timed_out)},
    {.name = "oom_killed",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .about = "The memory limit killed a process.",
     .offset = offsetof(struct execution_shown, oom_killed)},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .about = "A stream had more than is kept, or its end is not known.",
     .offset = offsetof(struct execution_shown, truncated)},
    {.name = "recorded",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .about = "false: PostgreSQL was away at the end; the record follows.",
     .offset = offsetof(struct execution_shown, recorded)},
    {.name = "stages",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .about = "Microseconds of each stage.",
     .of = &stages_table,
     .offset = offsetof(struct execution_shown, stages)},
};
const struct json_table execution_table = JSON_TABLE("Execution", execution_fields);

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
        cJSON_AddItemToArray(shown.sandboxes, sandbox_view(&list->items[i]));
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

bool output_view(const char *data, size_t size, char **ret_text, char **ret_base64)
{
    bool exact;
    _cleanup_free_ char *text = text_from_bytes(data ? data : "", size, &exact);
    char *base64 = NULL;

    if (!text)
        return false;
    if (!exact) {
        base64 = base64_encode(data, size);
        if (!base64)
            return false;
    }
    *ret_text = TAKE_PTR(text);
    *ret_base64 = base64;
    return true;
}

const char *signal_view(int signal, char buffer[static SIGNAL_VIEW_SIZE])
{
    const char *name = sigabbrev_np(signal);

    if (signal == 0)
        return NULL;
    (void)snprintf(buffer, SIGNAL_VIEW_SIZE, "SIG%s", name ? name : "RT");
    return buffer;
}

cJSON *execution_view(const struct id *sandbox, const struct execution_result *result)
{
    _cleanup_free_ char *out = NULL;
    _cleanup_free_ char *out_base64 = NULL;
    _cleanup_free_ char *err = NULL;
    _cleanup_free_ char *err_base64 = NULL;
    char signal_name[SIGNAL_VIEW_SIZE];
    struct execution_shown shown = {
        .sandbox = *sandbox,
        .success = result->exited && result->exit_code == 0 && !result->timed_out,
        .exit_code = result->exited ? result->exit_code : JSON_NULL_INTEGER,
        .signal = signal_view(result->signal, signal_name),
        .execution_time_ms = result->wall_usec / 1000,
        .timed_out = result->timed_out,
        .oom_killed = result->oom_killed,
        .truncated = result->truncated,
        .recorded = result->recorded,
        .stages = result->stages,
    };

    if (!output_view(result->out, result->out_size, &out, &out_base64) ||
        !output_view(result->err, result->err_size, &err, &err_base64))
        return NULL;
    shown.out = out;
    shown.out_base64 = out_base64;
    shown.err = err;
    shown.err_base64 = err_base64;
    return json_encode(&execution_table, &shown);
}
