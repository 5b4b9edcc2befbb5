#include "server/handlers/executor_events.h"

#include "lib/base/util.h"
#include "server/handlers/executor_lines.h"
#include "server/handlers/executor_text.h"
#include "server/services/executors.h"
#include "server/stream/stream.h"

#include <string.h>

#define EVENTS_MEDIA "text/event-stream"
#define TEXT_MEDIA   "text/plain; charset=utf-8"

enum { LINE_KEPT = 64 << 10, LINE_WAITING = 4 << 20 };

static const char heartbeat[] = ":keepalive\n\n";

/* What a stream's parts are made with; the stream's. */
struct form {
    enum executor_events kind;
    struct executor_lines *lines;
};

static bool take_memory(void *services, size_t size)
{
    return executors_take_waiting(services, size);
}

static void give_memory(void *services, size_t size)
{
    executors_give_waiting(services, size);
}

static void form_free(void *user)
{
    struct form *form = user;

    executor_lines_free(form->lines);
    free(form);
}

static int form_new(struct services *services, enum executor_events kind, struct form **ret_form,
                    struct error *err)
{
    struct form *form = calloc(1, sizeof(*form));
    const struct executor_lines_options options = {
        .event = kind == EXECUTOR_EVENTS_LOG ? "log" : "output",
        .has_time = kind == EXECUTOR_EVENTS_LOG,
        .kept = LINE_KEPT,
        .waiting = LINE_WAITING,
        .take_memory = take_memory,
        .give_memory = give_memory,
        .memory_user = services,
    };

    if (!form)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    form->kind = kind;
    if (executor_lines_new(&options, &form->lines, err) < 0) {
        free(form);
        return -1;
    }
    *ret_form = form;
    return 0;
}

static void put(struct json_text *text, const char *data)
{
    json_text_add(text, data, strlen(data));
}

static void put_error(struct json_text *text, const char *message)
{
    put(text, "event: error\ndata: {\"error\":\"");
    executor_text_add(text, message, strlen(message));
    put(text, "\"}\n\n");
}

/* Output that the reader was too slow for: to pass over it would be a lie. */
static void put_gap(struct json_text *text, uint64_t gap)
{
    char message[96];

    (void)snprintf(message, sizeof(message),
                   "%llu bytes of output are lost: it was read too slowly",
                   (unsigned long long)gap);
    put_error(text, message);
}

static void put_output(const struct form *form, const struct attach_part *part,
                       struct json_text *text)
{
    enum executor_side side =
        part->stream == AGENT_STREAM_STDERR ? EXECUTOR_STDERR : EXECUTOR_STDOUT;

    if (part->gap > 0) {
        executor_lines_end(form->lines, text);
        put_gap(text, part->gap);
    }
    executor_lines_add(form->lines, side, part->time_usec, part->bytes, part->size, text);
}

/* A process whose wait status nobody saw has no code, and no `complete`. */
static void put_end(const struct form *form, const struct store_process *row,
                    struct json_text *text)
{
    char event[96];

    executor_lines_end(form->lines, text);
    if (form->kind == EXECUTOR_EVENTS_LOG) {
        put(text, "event: complete\ndata: {\"message\":\"stream ended\"}\n\n");
    } else if (row->state == PROCESS_LOST) {
        put_error(text, "The end of the command is not known");
    } else {
        (void)snprintf(event, sizeof(event),
                       "event: complete\ndata: {\"code\":%d,\"error\":%s}\n\n", row->exit_code,
                       row->exit_code == 0 ? "false" : "true");
        put(text, event);
    }
}

/* An attach_format. */
static char *format(const struct attach_part *part, size_t *ret_size)
{
    const struct form *form = part->user;
    struct json_text text = {.data = NULL};

    json_text_add(&text, "", 0); /* no event is not the same as no memory */
    if (part->kind == ATTACH_OUTPUT)
        put_output(form, part, &text);
    else
        put_end(form, part->row, &text);
    if (text.failed) {
        json_text_free(&text);
        return NULL;
    }
    *ret_size = text.size;
    return text.data;
}

int executor_events_follow(struct call *call, const struct id *process, enum executor_events kind,
                           struct attach_options *options, struct error *err)
{
    _cleanup_stream_ struct stream *stream = NULL;
    struct form *form = NULL;

    if (form_new(call->services, kind, &form, err) < 0)
        return -1;
    options->format = format;
    options->user = form;
    options->release = form_free;
    options->heartbeat = heartbeat;
    if (attach_follow(call->services, &call->caller, &call->id, process, options, &stream, err) < 0)
        return -1;
    http_respond_stream(call->request, EVENTS_MEDIA, stream);
    return 0;
}

int executor_events_error(struct call *call, const char *message, struct error *err)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    put_error(&text, message);
    if (text.failed)
        return error_no_memory(err);
    http_respond_bytes(call->request, 200, EVENTS_MEDIA, text.data, text.size);
    return 0;
}

int executor_refuse_start(struct call *call)
{
    static const char text[] = "Failed to start command\n";

    http_respond_bytes(call->request, 500, TEXT_MEDIA, text, sizeof(text) - 1);
    return 0;
}

int executor_explain(struct error *err)
{
    if (err->code == ERR_CONFLICT && err->field[0] == '\0')
        err->code = ERR_UNAVAILABLE;
    return -1;
}
