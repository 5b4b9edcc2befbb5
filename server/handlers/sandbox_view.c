#include "server/handlers/sandbox_view.h"

#include "lib/base/base64.h"
#include "lib/base/time.h"
#include "server/services/text.h"

#include <signal.h>
#include <string.h>

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

static void add_time(cJSON *object, const char *name, int64_t unix_usec)
{
    char text[TIME_TEXT_SIZE];

    time_format(unix_usec, text);
    cJSON_AddStringToObject(object, name, text);
}

static void add_text_or_null(cJSON *object, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(object, name, text);
    else
        cJSON_AddNullToObject(object, name);
}

cJSON *sandbox_view(const struct sandbox_record *record)
{
    char id[ID_TEXT_SIZE];
    cJSON *view = cJSON_CreateObject();

    id_format(&record->id, id);
    cJSON_AddStringToObject(view, "id", id);
    cJSON_AddStringToObject(view, "runtime", record->runtime);
    cJSON_AddStringToObject(view, "status", status_word(record));
    add_text_or_null(view, "entry_point", record->entry_point);
    cJSON_AddNumberToObject(view, "timeout_ms", record->timeout_ms);
    cJSON_AddNumberToObject(view, "memory_limit_mb", record->memory_limit_mb);
    cJSON_AddNumberToObject(view, "files", record->file_count);
    add_time(view, "created_at", record->created_usec);
    add_time(view, "last_active_at", record->last_active_usec);
    add_time(view, "expires_at", record->expires_usec);
    return view;
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

/* Adds `name` as text and, where the text is not the exact bytes, `name`_base64 beside it. */
static int add_output(cJSON *view, const char *name, const char *data, size_t size)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *base64 = NULL;
    char exact_name[32];

    if (!output_view(data, size, &text, &base64))
        return -1;
    cJSON_AddStringToObject(view, name, text);
    if (!base64)
        return 0;
    (void)snprintf(exact_name, sizeof(exact_name), "%s_base64", name);
    cJSON_AddStringToObject(view, exact_name, base64);
    return 0;
}

static void add_end(cJSON *view, const struct execution_result *result)
{
    char signal_name[SIGNAL_VIEW_SIZE];

    if (result->exited)
        cJSON_AddNumberToObject(view, "exit_code", result->exit_code);
    else
        cJSON_AddNullToObject(view, "exit_code");
    add_text_or_null(view, "signal", signal_view(result->signal, signal_name));
}

static void add_stages(cJSON *view, const struct execution_stages *stages)
{
    cJSON *object = cJSON_AddObjectToObject(view, "stages");

    cJSON_AddNumberToObject(object, "begin_us", (double)stages->begin_usec);
    cJSON_AddNumberToObject(object, "create_us", (double)stages->create_usec);
    cJSON_AddNumberToObject(object, "run_us", (double)stages->run_usec);
    cJSON_AddNumberToObject(object, "destroy_us", (double)stages->destroy_usec);
    cJSON_AddNumberToObject(object, "record_us", (double)stages->record_usec);
}

cJSON *execution_view(const struct id *sandbox, const struct execution_result *result)
{
    char id[ID_TEXT_SIZE];
    int64_t wall_ms = result->wall_usec / 1000;
    _cleanup_cjson_ cJSON *view = cJSON_CreateObject();

    id_format(sandbox, id);
    cJSON_AddStringToObject(view, "sandbox_id", id);
    cJSON_AddBoolToObject(view, "success",
                          result->exited && result->exit_code == 0 && !result->timed_out);
    if (add_output(view, "stdout", result->out, result->out_size) < 0 ||
        add_output(view, "stderr", result->err, result->err_size) < 0)
        return NULL;
    add_end(view, result);
    cJSON_AddNumberToObject(view, "execution_time_ms", (double)wall_ms);
    cJSON_AddBoolToObject(view, "timed_out", result->timed_out);
    cJSON_AddBoolToObject(view, "oom_killed", result->oom_killed);
    cJSON_AddBoolToObject(view, "truncated", result->truncated);
    cJSON_AddBoolToObject(view, "recorded", result->recorded);
    add_stages(view, &result->stages);
    return TAKE_PTR(view);
}
