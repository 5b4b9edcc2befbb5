#include "lib/runtime/agent_process.h"

#include "lib/agentproto/message.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_client_private.h"
#include "lib/runtime/agent_request.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

/* Payload of the requests that only name a process and numbers. */
enum { REQUEST_MAX = 64 };

/* The answer to one request about one process. */
struct answer {
    struct id id;
    bool described; /* it is a PROCESS, else a DONE */
    bool failed;
    struct error failure;
    struct agent_process_message process;
};

struct listing {
    struct agent_process *items;
    size_t count;
};

void agent_process_from_message(const struct agent_process_message *message,
                                struct agent_process *ret_process)
{
    int status = (int)message->status;

    *ret_process = (struct agent_process){
        .id = message->id,
        .state = (enum agent_process_state)message->state,
        .pid = (pid_t)message->pid,
        .attempts = message->attempts,
        .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .errnum = (int)message->errnum,
        .timed_out = (message->flags & AGENT_PROCESS_TIMED_OUT) != 0,
        .truncated = (message->flags & AGENT_PROCESS_TRUNCATED) != 0,
        .lost = (message->flags & AGENT_PROCESS_LOST) != 0,
        .terminal = (message->flags & AGENT_PROCESS_TERMINAL) != 0,
        .input = (message->flags & AGENT_PROCESS_INPUT) != 0,
        .started_usec = (int64_t)message->started_usec,
        .ended_usec = (int64_t)message->ended_usec,
        .wall_usec = message->wall_usec,
        .user_usec = message->user_usec,
        .system_usec = message->system_usec,
        .max_rss_bytes = message->max_rss_bytes,
        .log_begin = message->log_begin,
        .log_end = message->log_end,
        .stdout_size = message->stdout_end,
        .stderr_size = message->stderr_end,
    };
}

static int on_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                     struct error *err)
{
    struct answer *answer = context;
    uint64_t value;

    *ret_done = true;
    if (frame->type == AGENT_FRAME_ERROR) {
        answer->failed = true;
        return agent_take_failure(frame, &answer->failure, err);
    }
    if (!answer->described)
        return frame->type == AGENT_FRAME_DONE &&
                       agent_done_decode(frame->payload, frame->size, &value)
                   ? 0
                   : agent_protocol_error(err);
    if (frame->type != AGENT_FRAME_PROCESS ||
        !agent_process_decode(frame->payload, frame->size, &answer->process) ||
        !id_equal(&answer->process.id, &answer->id))
        return agent_protocol_error(err);
    return 0;
}

static int exchange(struct agent_client *client, struct agent_outgoing *outgoing,
                    struct answer *answer, int64_t deadline_usec, struct error *err)
{
    if (agent_channel_exchange(&client->channel, outgoing, on_answer, answer, deadline_usec, err) <
        0)
        return -1;
    if (!answer->failed)
        return 0;
    *err = answer->failure;
    return -1;
}

/* Sends one small frame and takes its DONE. */
static int request(struct agent_client *client, const struct id *id, enum agent_frame_type type,
                   const uint8_t *payload, size_t size, int64_t deadline_usec, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    struct answer answer = {.id = *id};

    agent_outgoing_frame(&outgoing, type, payload, size);
    return exchange(client, &outgoing, &answer, deadline_usec, err);
}

int agent_process_start(struct agent_client *client, const struct agent_start_request *start,
                        int64_t deadline_usec, struct agent_process *ret_process, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    struct answer answer = {.id = start->id, .described = true};

    if (agent_request_start(&outgoing, start, err) < 0)
        return -1;
    if (exchange(client, &outgoing, &answer, deadline_usec, err) < 0)
        return -1;
    agent_process_from_message(&answer.process, ret_process);
    return 0;
}

static int on_list_answer(void *context, const struct agent_frame *frame, bool *ret_done,
                          struct error *err)
{
    struct listing *listing = context;
    struct agent_process_message message;
    uint64_t count;

    if (frame->type == AGENT_FRAME_DONE) {
        *ret_done = true;
        return agent_done_decode(frame->payload, frame->size, &count) && count == listing->count
                   ? 0
                   : agent_protocol_error(err);
    }
    if (frame->type != AGENT_FRAME_PROCESS || listing->count == AGENT_PROCESSES_MAX ||
        !agent_process_decode(frame->payload, frame->size, &message))
        return agent_protocol_error(err);
    if (!listing->items)
        listing->items = calloc(AGENT_PROCESSES_MAX, sizeof(*listing->items));
    if (!listing->items)
        return error_set_errno(err, ENOMEM, "cannot keep the list of processes");
    agent_process_from_message(&message, &listing->items[listing->count++]);
    return 0;
}

/* One request whose answer is a list of processes. */
static int list(struct agent_client *client, struct agent_outgoing *outgoing, int64_t deadline_usec,
                struct agent_process **ret_processes, size_t *ret_count, struct error *err)
{
    struct listing listing = {0};

    if (agent_channel_exchange(&client->channel, outgoing, on_list_answer, &listing, deadline_usec,
                               err) < 0) {
        free(listing.items);
        return -1;
    }
    *ret_processes = listing.items;
    *ret_count = listing.count;
    return 0;
}

int agent_process_list(struct agent_client *client, int64_t deadline_usec,
                       struct agent_process **ret_processes, size_t *ret_count, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};

    agent_outgoing_frame(&outgoing, AGENT_FRAME_LIST, "", 0);
    return list(client, &outgoing, deadline_usec, ret_processes, ret_count, err);
}

int agent_process_stop(struct agent_client *client, uint32_t grace_ms, int64_t deadline_usec,
                       struct agent_process **ret_processes, size_t *ret_count, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    const struct agent_stop_message message = {.grace_ms = grace_ms};
    uint8_t payload[REQUEST_MAX];

    agent_outgoing_frame(&outgoing, AGENT_FRAME_STOP, payload,
                         agent_stop_encode(&message, payload, sizeof(payload)));
    return list(client, &outgoing, deadline_usec, ret_processes, ret_count, err);
}

int agent_process_signal(struct agent_client *client, const struct id *id, int signum,
                         enum agent_signal_target target, bool final, int64_t deadline_usec,
                         struct error *err)
{
    const struct agent_signal_message message = {
        .id = *id,
        .signal = (uint32_t)signum,
        .target = target,
        .flags = final ? AGENT_SIGNAL_FINAL : 0u,
    };
    uint8_t payload[REQUEST_MAX];

    if (signum < 1 || signum > AGENT_SIGNAL_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "signal", "a signal is 1 to %d",
                               AGENT_SIGNAL_MAX);
    return request(client, id, AGENT_FRAME_SIGNAL, payload,
                   agent_signal_encode(&message, payload, sizeof(payload)), deadline_usec, err);
}

int agent_process_input(struct agent_client *client, const struct id *id, const void *data,
                        size_t size, bool close_after, int64_t deadline_usec, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    const struct agent_input_message message = {
        .id = *id,
        .flags = close_after ? AGENT_INPUT_CLOSE : 0u,
    };
    struct answer answer = {.id = *id};
    uint8_t payload[REQUEST_MAX];

    agent_outgoing_frame(&outgoing, AGENT_FRAME_INPUT, payload,
                         agent_input_encode(&message, payload, sizeof(payload)));
    agent_outgoing_body(&outgoing, data, size);
    return exchange(client, &outgoing, &answer, deadline_usec, err);
}

int agent_process_resize(struct agent_client *client, const struct id *id, uint16_t rows,
                         uint16_t columns, int64_t deadline_usec, struct error *err)
{
    const struct agent_resize_message message = {.id = *id, .rows = rows, .columns = columns};
    uint8_t payload[REQUEST_MAX];

    return request(client, id, AGENT_FRAME_RESIZE, payload,
                   agent_resize_encode(&message, payload, sizeof(payload)), deadline_usec, err);
}

int agent_process_wait(struct agent_client *client, const struct id *id, uint32_t timeout_ms,
                       int64_t deadline_usec, struct agent_process *ret_process, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    const struct agent_wait_message message = {.id = *id, .timeout_ms = timeout_ms};
    struct answer answer = {.id = *id, .described = true};
    uint8_t payload[REQUEST_MAX];

    agent_outgoing_frame(&outgoing, AGENT_FRAME_WAIT, payload,
                         agent_wait_encode(&message, payload, sizeof(payload)));
    if (exchange(client, &outgoing, &answer, deadline_usec, err) < 0)
        return -1;
    agent_process_from_message(&answer.process, ret_process);
    return 0;
}

int agent_process_forget(struct agent_client *client, const struct id *id, bool remove_log,
                         int64_t deadline_usec, struct error *err)
{
    const struct agent_forget_message message = {
        .id = *id,
        .flags = remove_log ? AGENT_FORGET_REMOVE_LOG : 0u,
    };
    uint8_t payload[REQUEST_MAX];

    return request(client, id, AGENT_FRAME_FORGET, payload,
                   agent_forget_encode(&message, payload, sizeof(payload)), deadline_usec, err);
}

const struct agent_process *agent_process_find(const struct agent_process *processes, size_t count,
                                               const struct id *id)
{
    for (size_t i = 0; i < count; i++)
        if (id_equal(&processes[i].id, id))
            return &processes[i];
    return NULL;
}

static enum process_state outcome(const struct agent_process *process)
{
    if (process->signal != 0 || process->timed_out)
        return PROCESS_KILLED;
    return process->exit_code == 0 ? PROCESS_COMPLETED : PROCESS_FAILED;
}

struct process_end agent_process_end(const struct agent_process *process, const struct id *sandbox)
{
    return (struct process_end){
        .id = process->id,
        .sandbox = sandbox,
        .state = outcome(process),
        .exit_code = process->exit_code,
        .signal = process->signal,
        .timed_out = process->timed_out,
        .truncated = process->truncated || process->lost,
        .ended_usec = process->ended_usec,
        .cpu_usec = (int64_t)(process->user_usec + process->system_usec),
        .memory_peak_bytes = (int64_t)process->max_rss_bytes,
        .wall_usec = (int64_t)process->wall_usec,
    };
}
