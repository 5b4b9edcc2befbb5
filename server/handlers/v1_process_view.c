#include "server/handlers/v1_process_view.h"

#include "lib/base/time.h"
#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/page.h"

#include <inttypes.h>
#include <string.h>

struct process_view {
    struct id id;
    struct id sandbox;
    const char *kind;
    const char *state;
    cJSON *command;
    const char *tag;
    bool pty;
    bool stdin_open;
    int64_t exit_code;
    const char *signal;
    bool timed_out;
    bool truncated;
    int64_t pid;
    int64_t log_begin;
    int64_t log_end;
    int64_t started_usec;
    int64_t ended_usec;
    int64_t duration_ms;
    int64_t cpu_us;
    int64_t max_rss_bytes;
};

#define NUMBER(name_, member_, about_)                                                             \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_INTEGER, .max = INT64_MAX,                              \
        .offset = offsetof(struct process_view, member_), .about = (about_)                        \
    }

#define FLAG(name_, member_, about_)                                                               \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_BOOL, .required = true,                                 \
        .offset = offsetof(struct process_view, member_), .about = (about_)                        \
    }

static const struct json_field process_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct process_view, id)},
    {.name = "sandbox_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct process_view, sandbox)},
    {.name = "kind",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "exec|process",
     .offset = offsetof(struct process_view, kind),
     .about = "exec: its request waits for its end."},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "running|completed|failed|killed|lost",
     .offset = offsetof(struct process_view, state),
     .about = "lost: nobody saw its wait status."},
    {.name = "command",
     .type = JSON_TYPE_STRINGS,
     .max = 256,
     .offset = offsetof(struct process_view, command)},
    {.name = "tag",
     .type = JSON_TYPE_STRING,
     .max = 255,
     .offset = offsetof(struct process_view, tag)},
    FLAG("pty", pty, "It has a terminal."),
    FLAG("stdin", stdin_open, "It takes input."),
    {.name = "exit_code",
     .type = JSON_TYPE_INTEGER,
     .max = 255,
     .offset = offsetof(struct process_view, exit_code),
     .about = "null when it returned none, or runs."},
    {.name = "signal",
     .type = JSON_TYPE_STRING,
     .max = SIGNAL_VIEW_SIZE,
     .offset = offsetof(struct process_view, signal),
     .about = "SIGKILL, ...; null when it exited."},
    FLAG("timed_out", timed_out, "Its time limit ended it."),
    FLAG("truncated", truncated, "Its log has lost its oldest output."),
    NUMBER("pid", pid, "Inside the sandbox, while it runs."),
    NUMBER("log_begin", log_begin, "Offset of the oldest output that its log has, while known."),
    NUMBER("log_end", log_end, "Offset behind the newest."),
    {.name = "started_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct process_view, started_usec)},
    {.name = "ended_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct process_view, ended_usec)},
    NUMBER("duration_ms", duration_ms, "From its start to its end."),
    NUMBER("cpu_us", cpu_us, "Processor time of it and what it waited for."),
    NUMBER("max_rss_bytes", max_rss_bytes, "The most memory that one of them had."),
};
const struct json_table v1_process_table = JSON_TABLE("Process", process_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(v1_process_table)};
const struct json_table v1_process_page_table = JSON_TABLE("ProcessPage", page_fields);

static int64_t known(int64_t value)
{
    return value < 0 ? JSON_NULL_INTEGER : value;
}

/* Offsets are claims of the sandbox: nothing says that they fit. */
static int64_t bounded(bool is_known, uint64_t value)
{
    if (!is_known)
        return JSON_NULL_INTEGER;
    return value < INT64_MAX ? (int64_t)value : INT64_MAX;
}

cJSON *v1_process_view(const struct process_info *info)
{
    const struct store_process *row = &info->row;
    bool runs = info->is_live && row->state == PROCESS_RUNNING;
    char signal_name[SIGNAL_VIEW_SIZE];
    struct process_view view = {
        .id = row->id,
        .sandbox = row->sandbox,
        .kind = row->kind == STORE_PROCESS_EXEC ? "exec" : "process",
        .state = process_state_name(row->state),
        .command = row->command_json ? cJSON_Parse(row->command_json) : NULL,
        .tag = row->tag,
        .pty = row->has_terminal,
        .stdin_open = row->has_input || row->has_terminal,
        .exit_code = known(row->exit_code),
        .signal = signal_view(row->signal, signal_name),
        .timed_out = row->timed_out,
        .truncated = row->truncated || (info->is_live && info->live.truncated),
        .pid = runs ? info->live.pid : JSON_NULL_INTEGER,
        .log_begin = bounded(info->is_live, info->live.log_begin),
        .log_end = bounded(info->is_live, info->live.log_end),
        .started_usec = row->started_usec,
        .ended_usec = row->ended_usec,
        .duration_ms = row->wall_usec < 0 ? JSON_NULL_INTEGER : row->wall_usec / 1000,
        .cpu_us = known(row->cpu_usec),
        .max_rss_bytes = known(row->memory_peak_bytes),
    };

    return json_encode(&v1_process_table, &view);
}

/* --- the answer of an exec */

struct result_view {
    struct id id;
    const char *state;
    int64_t exit_code;
    const char *signal;
    struct output_texts output;
    bool timed_out;
    bool truncated;
    int64_t duration_ms;
};

static const struct json_field result_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct result_view, id),
     .about = "Of its record among the sandbox's processes."},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "completed|failed|killed|lost",
     .offset = offsetof(struct result_view, state)},
    END_FIELDS(struct result_view),
    OUTPUT_FIELDS(struct result_view, output, false),
    {.name = "timed_out",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, timed_out)},
    {.name = "truncated",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct result_view, truncated),
     .about = "An output stream had more than max_output_bytes."},
    {.name = "duration_ms",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_MAX,
     .offset = offsetof(struct result_view, duration_ms)},
};
const struct json_table v1_exec_result_table = JSON_TABLE("ExecResult", result_fields);

cJSON *v1_exec_result_view(const struct process_result *result)
{
    _cleanup_(output_texts_done) struct output_texts output = {.out = NULL};
    char signal_name[SIGNAL_VIEW_SIZE];
    struct result_view view = {
        .id = result->id,
        .state = process_state_name(result->state),
        .exit_code = known(result->exit_code),
        .signal = signal_view(result->signal, signal_name),
        .timed_out = result->timed_out,
        .truncated = result->truncated,
        .duration_ms = result->wall_usec / 1000,
    };

    if (!output_texts_fill(result->out, result->out_size, result->err, result->err_size, &output))
        return NULL;
    view.output = output;
    return json_encode(&v1_exec_result_table, &view);
}

/* --- parts of streams */

static void add_time(cJSON *object, int64_t usec)
{
    char text[TIME_TEXT_SIZE];

    time_format(usec, text);
    (void)cJSON_AddStringToObject(object, "at", text);
}

/* Text as `data`; other bytes as `data_base64`. */
static void add_output(cJSON *object, const struct attach_part *part)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *base64 = NULL;

    if (output_view(part->bytes, part->size, &text, &base64))
        (void)cJSON_AddStringToObject(object, base64 ? "data_base64" : "data",
                                      base64 ? base64 : text);
    (void)cJSON_AddNumberToObject(object, "offset", (double)part->offset);
    if (part->gap > 0)
        (void)cJSON_AddNumberToObject(object, "gap", (double)part->gap);
    add_time(object, part->time_usec);
}

static void add_process(cJSON *object, const struct attach_part *part)
{
    const struct store_process *row = part->row;
    char signal_name[SIGNAL_VIEW_SIZE];
    char id[ID_TEXT_SIZE];

    id_format(&row->id, id);
    (void)cJSON_AddStringToObject(object, "id", id);
    (void)cJSON_AddStringToObject(object, "state", process_state_name(row->state));
    if (part->kind == ATTACH_STATUS) {
        add_time(object, row->started_usec);
        return;
    }
    cJSON_AddItemToObject(object, "exit_code",
                          row->exit_code < 0 ? cJSON_CreateNull()
                                             : cJSON_CreateNumber(row->exit_code));
    cJSON_AddItemToObject(object, "signal",
                          row->signal == 0
                              ? cJSON_CreateNull()
                              : cJSON_CreateString(signal_view(row->signal, signal_name)));
    (void)cJSON_AddBoolToObject(object, "timed_out", row->timed_out);
    (void)cJSON_AddBoolToObject(object, "truncated", row->truncated);
    add_time(object, row->ended_usec);
}

static const char *word_of(const struct attach_part *part)
{
    if (part->kind == ATTACH_STATUS)
        return "status";
    if (part->kind == ATTACH_EXIT)
        return "exit";
    return part->stream == AGENT_STREAM_STDERR ? "stderr" : "stdout";
}

static void add_members(cJSON *object, const struct attach_part *part)
{
    if (part->kind == ATTACH_OUTPUT)
        add_output(object, part);
    else
        add_process(object, part);
}

char *v1_process_event(const struct attach_part *part, size_t *ret_size)
{
    _cleanup_cjson_ cJSON *data = cJSON_CreateObject();
    _cleanup_free_ char *json = NULL;
    char *text;
    int size;

    add_members(data, part);
    json = cJSON_PrintUnformatted(data);
    if (!json)
        return NULL;
    if (part->kind == ATTACH_STATUS)
        size = asprintf(&text, "event: status\ndata: %s\n\n", json);
    else
        size = asprintf(&text, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n",
                        part->offset + part->size, word_of(part), json);
    if (size < 0)
        return NULL;
    *ret_size = (size_t)size;
    return text;
}

char *v1_process_line(const struct attach_part *part, size_t *ret_size)
{
    _cleanup_cjson_ cJSON *object = cJSON_CreateObject();
    _cleanup_free_ char *json = NULL;
    char *text;
    int size;

    (void)cJSON_AddStringToObject(object, "event", word_of(part));
    add_members(object, part);
    json = cJSON_PrintUnformatted(object);
    size = json ? asprintf(&text, "%s\n", json) : -1;
    if (size < 0)
        return NULL;
    *ret_size = (size_t)size;
    return text;
}

static char *output_message(const struct attach_part *part, size_t *ret_size)
{
    enum { STREAM_SIZE = 1, OFFSET_SIZE = 8, HEAD_SIZE = STREAM_SIZE + OFFSET_SIZE };
    char *message = malloc(HEAD_SIZE + part->size);

    if (!message)
        return NULL;
    message[0] = part->stream == AGENT_STREAM_STDERR ? 2 : 1;
    for (int i = 0; i < OFFSET_SIZE; i++)
        message[STREAM_SIZE + i] = (char)(part->offset >> (8 * (OFFSET_SIZE - 1 - i)) & 0xff);
    memcpy(message + HEAD_SIZE, part->bytes, part->size);
    *ret_size = HEAD_SIZE + part->size;
    return message;
}

static char *print_message(const cJSON *object, size_t *ret_size)
{
    char *json = cJSON_PrintUnformatted(object);

    *ret_size = json ? strlen(json) : 0;
    return json;
}

char *v1_process_message(const struct attach_part *part, size_t *ret_size)
{
    _cleanup_cjson_ cJSON *object = NULL;

    if (part->kind == ATTACH_OUTPUT)
        return output_message(part, ret_size);
    object = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(object, "type", word_of(part));
    add_process(object, part);
    return print_message(object, ret_size);
}

char *v1_process_refusal(const struct error *error, size_t *ret_size)
{
    _cleanup_cjson_ cJSON *object = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(object, "type", "error");
    (void)cJSON_AddStringToObject(object, "code", error_code_name(error->code));
    (void)cJSON_AddStringToObject(object, "detail", error->message);
    if (error->field[0] != '\0')
        (void)cJSON_AddStringToObject(object, "field", error->field);
    return print_message(object, ret_size);
}

char *v1_process_bytes(const struct attach_part *part, size_t *ret_size)
{
    char *copy;

    if (part->kind != ATTACH_OUTPUT)
        return NULL;
    copy = malloc(part->size);
    if (copy)
        memcpy(copy, part->bytes, part->size);
    *ret_size = part->size;
    return copy;
}
