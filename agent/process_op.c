#include "agent/process_op.h"

#include "agent/clock.h"
#include "agent/failure.h"
#include "agent/stop.h"

#include <errno.h>

static bool no_process(struct agent_error_message *ret_error)
{
    return agent_failed(ret_error, AGENT_STAGE_TABLE, ESRCH);
}

static void begin(struct process_op *op, enum process_op_kind kind, const struct process *process)
{
    *op = (struct process_op){
        .kind = kind,
        .index = process ? process->index : 0,
        .serial = process ? process->serial : 0,
        .deadline_usec = INT64_MAX,
        .reader = {.fd = -1},
    };
}

bool process_op_start(struct process_op *op, struct agent_start_message *message,
                      struct agent_error_message *ret_error)
{
    const struct process *process;

    if (stop_begun())
        return agent_failed(ret_error, AGENT_STAGE_STOPPING, ECANCELED);
    process = process_start(message, ret_error);
    if (process)
        begin(op, PROCESS_OP_START, process);
    return process != NULL;
}

void process_op_list(struct process_op *op)
{
    begin(op, PROCESS_OP_LIST, NULL);
}

void process_op_stop(struct process_op *op)
{
    begin(op, PROCESS_OP_STOP, NULL);
}

bool process_op_wait(struct process_op *op, const struct agent_wait_message *message,
                     struct agent_error_message *ret_error)
{
    const struct process *process = process_find(&message->id);

    if (!process)
        return no_process(ret_error);
    begin(op, PROCESS_OP_WAIT, process);
    if (message->timeout_ms != UINT32_MAX)
        op->deadline_usec = clock_usec() + (int64_t)message->timeout_ms * 1000;
    return true;
}

bool process_op_attach(struct process_op *op, const struct agent_attach_message *message,
                       struct agent_error_message *ret_error)
{
    const struct process *process = process_find(&message->id);

    if (!process)
        return no_process(ret_error);
    begin(op, PROCESS_OP_ATTACH, process);
    op->flags = message->flags;
    log_reader_begin(&op->reader, &process->log, message->offset, message->flags);
    return true;
}

void process_op_input(struct process_op *op, const struct agent_input_message *message)
{
    const struct process *process = process_find(&message->id);

    begin(op, PROCESS_OP_INPUT, process);
    op->flags = message->flags;
    if (!process)
        (void)no_process(&op->error);
    else if ((message->flags & AGENT_INPUT_CLOSE) && process->command.terminal)
        (void)agent_failed(&op->error, AGENT_STAGE_INPUT, EINVAL);
}

/* The command that takes the input, or NULL when that has failed. */
static struct command *input_command(struct process_op *op)
{
    struct process *process;

    if (op->error.errnum != 0)
        return NULL;
    process = process_at(op->index, op->serial);
    if (process && process->command.active && process->command.stdin_fd >= 0)
        return &process->command;
    (void)agent_failed(&op->error, AGENT_STAGE_INPUT, EPIPE);
    return NULL;
}

size_t process_op_feed(struct process_op *op, const uint8_t *bytes, size_t size)
{
    struct command *command = input_command(op);
    size_t taken;

    if (!command)
        return size;
    taken = command_feed(command, bytes, size);
    if (command->stdin_fd < 0)
        (void)agent_failed(&op->error, AGENT_STAGE_INPUT, EPIPE);
    op->count += taken;
    return taken;
}

bool process_op_input_end(struct process_op *op, struct agent_error_message *ret_error)
{
    struct command *command;

    op->kind = PROCESS_OP_NONE;
    command = input_command(op);
    if (command && (op->flags & AGENT_INPUT_CLOSE))
        command_close_stdin(command);
    *ret_error = op->error;
    return command != NULL;
}

bool process_op_signal(const struct agent_signal_message *message,
                       struct agent_error_message *ret_error)
{
    struct process *process = process_find(&message->id);
    int errnum;

    if (!process)
        return no_process(ret_error);
    errnum = process_signal(process, message);
    return errnum == 0 || agent_failed(ret_error, AGENT_STAGE_SIGNAL, errnum);
}

bool process_op_resize(const struct agent_resize_message *message,
                       struct agent_error_message *ret_error)
{
    struct process *process = process_find(&message->id);
    int errnum;

    if (!process)
        return no_process(ret_error);
    errnum = process_resize(process, (uint16_t)message->rows, (uint16_t)message->columns);
    return errnum == 0 || agent_failed(ret_error, AGENT_STAGE_INPUT, errnum);
}

bool process_op_forget(const struct agent_forget_message *message,
                       struct agent_error_message *ret_error)
{
    struct process *process = process_find(&message->id);
    int errnum;

    if (!process)
        return no_process(ret_error);
    errnum = process_forget(process, (message->flags & AGENT_FORGET_REMOVE_LOG) != 0);
    return errnum == 0 || agent_failed(ret_error, AGENT_STAGE_TABLE, errnum);
}

bool process_op_busy(const struct process_op *op)
{
    return op->kind != PROCESS_OP_NONE && op->kind != PROCESS_OP_INPUT;
}

static void put_process(const struct process *process, struct outbox *outbox)
{
    struct agent_process_message message;
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    process_describe(process, &message);
    outbox_commit(outbox, AGENT_FRAME_PROCESS, agent_process_encode(&message, space, size));
}

static enum process_op_step pump_start(struct process *process, struct outbox *outbox,
                                       struct agent_error_message *ret_error)
{
    switch (process_confirm(process, ret_error)) {
    case 0:
        return PROCESS_OP_WAITS;
    case 1:
        process_release(process);
        put_process(process, outbox);
        return PROCESS_OP_DONE;
    default:
        return PROCESS_OP_FAILED;
    }
}

static enum process_op_step pump_list(struct process_op *op, struct outbox *outbox)
{
    const struct process *process = process_from(op->index);
    size_t size;
    uint8_t *space;

    if (process) {
        put_process(process, outbox);
        op->index = process->index + 1;
        op->count++;
        return PROCESS_OP_MOVED;
    }
    space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);
    outbox_commit(outbox, AGENT_FRAME_DONE, agent_done_encode(op->count, space, size));
    return PROCESS_OP_DONE;
}

static enum process_op_step pump_wait(const struct process_op *op, const struct process *process,
                                      struct outbox *outbox)
{
    if (process->state != AGENT_PROCESS_ENDED && clock_usec() < op->deadline_usec)
        return PROCESS_OP_WAITS;
    put_process(process, outbox);
    return PROCESS_OP_DONE;
}

static enum process_op_step pump_attach(struct process_op *op, const struct process *process,
                                        struct outbox *outbox,
                                        struct agent_error_message *ret_error)
{
    if (!op->greeted) {
        put_process(process, outbox);
        op->greeted = true;
        return PROCESS_OP_MOVED;
    }
    switch (log_reader_pump(&op->reader, &process->log, outbox)) {
    case LOG_READER_MOVED:
        return PROCESS_OP_MOVED;
    case LOG_READER_WAITS:
        return PROCESS_OP_WAITS;
    case LOG_READER_FAILED:
        (void)agent_failed(ret_error, AGENT_STAGE_LOG, errno);
        return PROCESS_OP_FAILED;
    case LOG_READER_AT_END:
        break;
    }
    if ((op->flags & AGENT_ATTACH_FOLLOW) && process->state != AGENT_PROCESS_ENDED)
        return PROCESS_OP_WAITS;
    put_process(process, outbox);
    return PROCESS_OP_DONE;
}

static enum process_op_step pump(struct process_op *op, struct outbox *outbox,
                                 struct agent_error_message *ret_error)
{
    struct process *process;

    if (op->kind == PROCESS_OP_STOP) {
        if (!stop_over())
            return PROCESS_OP_WAITS;
        op->kind = PROCESS_OP_LIST;
    }
    if (op->kind == PROCESS_OP_LIST)
        return pump_list(op, outbox);
    process = process_at(op->index, op->serial);
    if (!process) {
        (void)no_process(ret_error); /* it was forgotten meanwhile */
        return PROCESS_OP_FAILED;
    }
    if (op->kind == PROCESS_OP_START)
        return pump_start(process, outbox, ret_error);
    if (op->kind == PROCESS_OP_WAIT)
        return pump_wait(op, process, outbox);
    return pump_attach(op, process, outbox, ret_error);
}

enum process_op_step process_op_pump(struct process_op *op, struct outbox *outbox,
                                     struct agent_error_message *ret_error)
{
    enum process_op_step step;
    size_t room;

    if (!process_op_busy(op) || !outbox_space(outbox, OUTBOX_CONTROL_MAX, &room))
        return PROCESS_OP_WAITS;
    step = pump(op, outbox, ret_error);
    if (step == PROCESS_OP_DONE || step == PROCESS_OP_FAILED) {
        log_reader_end(&op->reader);
        op->kind = PROCESS_OP_NONE;
    }
    return step;
}

void process_op_abandon(struct process_op *op)
{
    struct process *process;

    if (op->kind == PROCESS_OP_NONE)
        return;
    process = op->kind == PROCESS_OP_START ? process_at(op->index, op->serial) : NULL;
    if (process)
        process_release(process);
    log_reader_end(&op->reader);
    op->kind = PROCESS_OP_NONE;
}
