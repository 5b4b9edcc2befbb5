/* Commands whose request waits for them: run, whole, and run_streaming, line by line. */
#include "server/handlers/executor.h"
#include "server/handlers/executor_answer.h"
#include "server/handlers/executor_events.h"
#include "server/handlers/executor_request.h"

#include <signal.h>
#include <string.h>

/* Of each of stdout and stderr. What comes beyond is cut off, and `error` says so. */
#define RUN_OUTPUT_MAX (UINT64_C(128) << 20)

/* What a reader of run_streaming may lag behind by. */
#define STREAM_LOG_BYTES (UINT64_C(64) << 20)

enum { STREAM_LOG_LINES = 16 * 1000 * 1000 };

/* --- the answer of run */

static const char *complaint(const struct process_result *result)
{
    if (result->timed_out)
        return "Command timed out";
    if (result->truncated)
        return "Output truncated";
    return result->exit_code == 0 ? NULL : "Non-zero exit code";
}

static int respond_result(struct call *call, const struct process_result *result, struct error *err)
{
    const char *error = complaint(result);
    struct executor_answer answer;
    char code[32];

    if (executor_answer_begin(&answer, call, result->out_size + result->err_size, err) < 0)
        return -1;
    executor_answer_put(&answer, "{\"stdout\":\"");
    executor_answer_put_bytes(&answer, result->out, result->out_size);
    executor_answer_put(&answer, "\",\"stderr\":\"");
    executor_answer_put_bytes(&answer, result->err, result->err_size);
    if (error) {
        executor_answer_put(&answer, "\",\"error\":\"");
        executor_answer_put(&answer, error);
    }
    (void)snprintf(code, sizeof(code), "\",\"code\":%d}\n", result->exit_code);
    executor_answer_put(&answer, code);
    return executor_answer_end(&answer, err);
}

int handle_executor_run(struct call *call, struct error *err)
{
    _cleanup_(executor_command_done) struct executor_command command = {.text = NULL};
    _cleanup_(executor_memory_done) struct executor_memory memory = {.call = call};
    _cleanup_(process_result_free) struct process_result result = {.out = NULL};

    if (executor_command_read(call, &command, err) < 0)
        return -1;
    command.spec.take_memory = executor_memory_take;
    command.spec.memory_user = &memory;
    command.spec.max_output = RUN_OUTPUT_MAX;
    command.spec.fallback_ms = (uint32_t)call->services->config->sandbox_max_timeout_ms;
    if (processes_exec(call->services, &call->caller, &call->id, &command.spec, NULL, 0, &result,
                       err) == 0) {
        command_notice_add(call, command.notice);
        return respond_result(call, &result, err);
    }
    if (executor_command_is_at_fault(err))
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
    if (processes_start(call->services, &call->caller, &call->id, &command.spec, &info, err) == 0) {
        command_notice_add(call, command.notice);
        return follow(call, &info.row.id, err);
    }
    if (executor_command_is_at_fault(err))
        return executor_events_error(call, "Failed to start command", err);
    return executor_explain(err);
}
