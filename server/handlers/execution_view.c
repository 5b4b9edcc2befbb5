#include "server/handlers/execution_view.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"
#include "server/services/text.h"

#include <stdlib.h>
#include <string.h>

#define STAGE(name_, member_, about_)                                                              \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_INTEGER, .required = true, .max = INT64_MAX,            \
        .offset = offsetof(struct execution_stages, member_), .about = (about_)                    \
    }

static const struct json_field stages_fields[] = {
    STAGE("begin_us", begin_usec, "PostgreSQL: admission and its record."),
    STAGE("create_us", create_usec, "From nothing to a listening agent."),
    STAGE("run_us", run_usec, "Files, command and output."),
    STAGE("destroy_us", destroy_usec, "Until nothing is left."),
    STAGE("record_us", record_usec, "PostgreSQL: the durable end."),
};
static const struct json_table stages_table = JSON_TABLE("ExecutionStages", stages_fields);

struct execution_shown {
    struct id id;
    bool success;
    struct output_texts output;
    int64_t exit_code;
    const char *signal;
    int64_t execution_time_ms;
    bool timed_out;
    bool oom_killed;
    bool truncated;
    bool recorded;
    struct execution_stages stages;
};

#define FLAG(name_, about_)                                                                        \
    {                                                                                              \
        .name = #name_, .type = JSON_TYPE_BOOL, .required = true,                                  \
        .offset = offsetof(struct execution_shown, name_), .about = (about_)                       \
    }

#define RESULT_FIELDS(id_name_, id_about_, omitted_)                                               \
    {.name = (id_name_),                                                                           \
     .type = JSON_TYPE_ID,                                                                         \
     .required = true,                                                                             \
     .offset = offsetof(struct execution_shown, id),                                               \
     .about = (id_about_)},                                                                        \
        FLAG(success, "It exited with 0, within its time."),                                       \
        OUTPUT_FIELDS(struct execution_shown, output, omitted_),                                   \
        END_FIELDS(struct execution_shown),                                                        \
        {.name = "execution_time_ms",                                                              \
         .type = JSON_TYPE_INTEGER,                                                                \
         .required = true,                                                                         \
         .max = INT64_MAX,                                                                         \
         .offset = offsetof(struct execution_shown, execution_time_ms)},                           \
        FLAG(timed_out, "The time limit ended it."),                                               \
        FLAG(oom_killed, "The memory limit killed a process."),                                    \
        FLAG(truncated, "A stream had more than is kept, or its end is not known."),               \
        FLAG(recorded, "false: PostgreSQL was away at the end; the record follows."),              \
    {                                                                                              \
        .name = "stages", .type = JSON_TYPE_RECORD, .required = true, .of = &stages_table,         \
        .offset = offsetof(struct execution_shown, stages), .about = "Microseconds of each stage." \
    }

static const struct json_field execution_fields[] = {
    RESULT_FIELDS("sandbox_id", NULL, true),
};
const struct json_table execution_table = JSON_TABLE("Execution", execution_fields);

static const struct json_field run_fields[] = {
    RESULT_FIELDS("id", "What its events are recorded under.", false),
};
const struct json_table v1_run_result_table = JSON_TABLE("RunResult", run_fields);

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

void output_texts_done(struct output_texts *texts)
{
    free(texts->out);
    free(texts->out_base64);
    free(texts->err);
    free(texts->err_base64);
}

bool output_texts_fill(const char *out, size_t out_size, const char *err, size_t err_size,
                       struct output_texts *ret_texts)
{
    struct output_texts texts = {.out = NULL};

    if (!output_view(out, out_size, &texts.out, &texts.out_base64) ||
        !output_view(err, err_size, &texts.err, &texts.err_base64)) {
        output_texts_done(&texts);
        return false;
    }
    *ret_texts = texts;
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

cJSON *execution_view(const struct json_table *table, const struct id *id,
                      const struct execution_result *result)
{
    _cleanup_(output_texts_done) struct output_texts output = {.out = NULL};
    char signal_name[SIGNAL_VIEW_SIZE];
    struct execution_shown shown = {
        .id = *id,
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

    if (!output_texts_fill(result->out, result->out_size, result->err, result->err_size, &output))
        return NULL;
    shown.output = output;
    return json_encode(table, &shown);
}
