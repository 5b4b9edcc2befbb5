/* Commands whose request waits for them: run, whole, and run_streaming, line by line. */
#include "lib/base/util.h"
#include "server/handlers/executor.h"
#include "server/handlers/executor_events.h"
#include "server/handlers/executor_request.h"
#include "server/handlers/executor_text.h"
#include "server/stream/stream.h"

#include <signal.h>
#include <string.h>

/* Of each of stdout and stderr. What comes beyond is cut off, and `error` says so. */
#define RUN_OUTPUT_MAX (UINT64_C(128) << 20)

/* What a reader of run_streaming may lag behind by. */
#define STREAM_LOG_BYTES (UINT64_C(64) << 20)

enum {
    STREAM_LOG_LINES = 1000 * 1000,
    SMALL_ANSWER = 256 * 1024, /* a larger one goes out in pieces, and is never there as a whole */
    PIECE = 32 * 1024,
    ANSWER_QUEUE = 256 * 1024,
    CLIENT_WAIT_MS = 30 * 1000, /* for a client that takes nothing */
};

/* --- the answer of run */

static const char *complaint(const struct process_result *result)
{
    if (result->timed_out)
        return "Command timed out";
    if (result->truncated)
        return "Output truncated";
    return result->exit_code == 0 ? NULL : "Non-zero exit code";
}

/* An answer on its way: small ones are gathered in `text`, of others it holds a piece. */
struct answer {
    struct stream *stream; /* NULL: a small one */
    struct json_text text;
    bool failed;
};

static void pass_on(struct answer *answer)
{
    if (!answer->stream || answer->text.size == 0)
        return;
    answer->failed =
        answer->failed || answer->text.failed ||
        !stream_write(answer->stream, answer->text.data, answer->text.size, CLIENT_WAIT_MS);
    answer->text.size = 0;
}

static void put(struct answer *answer, const char *data)
{
    json_text_add(&answer->text, data, strlen(data));
}

static void put_output(struct answer *answer, const char *data, size_t size)
{
    while (size > 0 && !answer->failed) {
        size_t piece = size <= PIECE ? size : executor_text_whole(data, PIECE);

        executor_text_add(&answer->text, data, piece);
        pass_on(answer);
        data += piece;
        size -= piece;
    }
}

static void put_result(struct answer *answer, const struct process_result *result)
{
    const char *error = complaint(result);
    char code[32];

    put(answer, "{\"stdout\":\"");
    put_output(answer, result->out, result->out_size);
    put(answer, "\",\"stderr\":\"");
    put_output(answer, result->err, result->err_size);
    put(answer, "\",");
    if (error) {
        put(answer, "\"error\":\"");
        put(answer, error);
        put(answer, "\",");
    }
    (void)snprintf(code, sizeof(code), "\"code\":%d}\n", result->exit_code);
    put(answer, code);
    pass_on(answer);
}

static int respond_in_pieces(struct call *call, const struct process_result *result,
                             struct error *err)
{
    _cleanup_stream_ struct stream *stream = NULL;
    struct answer answer = {.stream = NULL};

    if (stream_new(call->services->streams, ANSWER_QUEUE, &stream, err) < 0)
        return -1;
    answer.stream = stream;
    http_respond_stream(call->request, "application/json", stream);
    put_result(&answer, result);
    json_text_free(&answer.text);
    if (answer.failed)
        stream_break(stream);
    else
        stream_finish(stream);
    return 0;
}

static int respond_result(struct call *call, const struct process_result *result, struct error *err)
{
    struct answer answer = {.stream = NULL};
    int status;

    if (result->out_size + result->err_size > SMALL_ANSWER)
        return respond_in_pieces(call, result, err);
    put_result(&answer, result);
    status = call_respond_text(call, 200, &answer.text, err);
    json_text_free(&answer.text);
    return status;
}

/* The command itself could not be started, and it is not the sandbox that is not there. */
static bool is_of_command(const struct error *err)
{
    return strcmp(err->field, "command") == 0;
}

int handle_executor_run(struct call *call, struct error *err)
{
    _cleanup_(executor_command_done) struct executor_command command = {.text = NULL};
    _cleanup_(process_result_free) struct process_result result = {.out = NULL};

    if (executor_command_read(call, &command, err) < 0)
        return -1;
    command.spec.max_output = RUN_OUTPUT_MAX;
    command.spec.fallback_ms = (uint32_t)call->services->config->sandbox_max_timeout_ms;
    if (processes_exec(call->services, &call->caller, &call->id, &command.spec, NULL, 0, &result,
                       err) == 0)
        return respond_result(call, &result, err);
    if (is_of_command(err))
        return executor_refuse_start(call);
    return executor_explain(err);
}

/* --- run_streaming */

/* Nobody will follow what was started. */
static void give_up(struct call *call, const struct id *process)
{
    struct error unneeded;

    (void)processes_signal(call->services, &call->caller, &call->id, process, SIGKILL,
                           AGENT_SIGNAL_TREE, &unneeded);
}

static int follow(struct call *call, const struct id *process, struct error *err)
{
    struct attach_options options = {.follow = true, .kill_when_gone = true};

    if (executor_events_follow(call, process, EXECUTOR_EVENTS_OUTPUT, &options, err) == 0)
        return 0;
    give_up(call, process);
    return executor_explain(err);
}

int handle_executor_run_streaming(struct call *call, struct error *err)
{
    _cleanup_(executor_command_done) struct executor_command command = {.text = NULL};
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (executor_command_read(call, &command, err) < 0)
        return -1;
    command.spec.log_bytes = STREAM_LOG_BYTES;
    command.spec.log_lines = STREAM_LOG_LINES;
    if (processes_start(call->services, &call->caller, &call->id, &command.spec, &info, err) == 0)
        return follow(call, &info.row.id, err);
    if (is_of_command(err))
        return executor_events_error(call, "Failed to start command", err);
    return executor_explain(err);
}
