#include "agent/exec_op.h"

enum { DISCARD_SIZE = 16 * 1024 };

static const enum agent_frame_type frame_types[COMMAND_STREAMS] = {
    AGENT_FRAME_STDOUT,
    AGENT_FRAME_STDERR,
};

/* What the sink's functions work on. */
struct passage {
    struct exec_op *op;
    struct outbox *outbox;
};

bool exec_start(struct exec_op *op, struct agent_exec_message *message, uint32_t index,
                volatile struct spawn_report *report, struct agent_error_message *ret_error)
{
    const struct command_options options = {
        .index = index,
        .timeout_ms = message->timeout_ms,
        .grace_ms = message->grace_ms,
        .input = (message->flags & AGENT_EXEC_STDIN) != 0,
        .kill_leftovers = (message->flags & AGENT_EXEC_KILL_LEFTOVERS) != 0,
        .archive = (message->flags & AGENT_EXEC_ARCHIVE) != 0,
        .report = report,
    };

    for (int i = 0; i < COMMAND_STREAMS; i++)
        op->outputs[i] = (struct exec_output){.left = message->max_output};
    return command_start(&op->command, &message->command, &options, ret_error);
}

/* The outbox, or nowhere once enough was sent. */
static uint8_t *passage_space(void *context, unsigned stream, size_t *ret_size)
{
    static uint8_t discard[DISCARD_SIZE];
    const struct passage *passage = context;
    const struct exec_output *output = &passage->op->outputs[stream];
    uint8_t *space;

    if (output->left == 0) {
        *ret_size = sizeof(discard);
        return discard;
    }
    space = outbox_space(passage->outbox, OUTBOX_DATA_MIN, ret_size);
    if (space && *ret_size > output->left)
        *ret_size = (size_t)output->left;
    return space;
}

static void passage_received(void *context, unsigned stream, size_t size)
{
    const struct passage *passage = context;
    struct exec_output *output = &passage->op->outputs[stream];

    if (output->left == 0) {
        output->truncated = true;
        return;
    }
    outbox_commit(passage->outbox, frame_types[stream], size);
    output->left -= size;
}

bool exec_pump(struct exec_op *op, struct outbox *outbox)
{
    struct passage passage = {.op = op, .outbox = outbox};
    const struct command_sink sink = {
        .context = &passage,
        .space = passage_space,
        .received = passage_received,
    };

    return command_pump(&op->command, &sink);
}

static void put_exit(const struct exec_op *op, struct outbox *outbox)
{
    const struct command *command = &op->command;
    const struct agent_exit_message message = {
        .status = (uint32_t)command->status,
        .flags = (command->timed_out ? AGENT_EXIT_TIMED_OUT : 0u) |
                 (op->outputs[0].truncated ? AGENT_EXIT_STDOUT_TRUNCATED : 0u) |
                 (op->outputs[1].truncated ? AGENT_EXIT_STDERR_TRUNCATED : 0u),
        .wall_usec = command_wall_usec(command),
        .user_usec = command_user_usec(command),
        .system_usec = command_system_usec(command),
        .max_rss_bytes = command_max_rss_bytes(command),
    };
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_EXIT, agent_exit_encode(&message, space, size));
}

static void put_failure(const struct exec_op *op, struct outbox *outbox)
{
    const struct agent_error_message message = {
        .stage = op->command.report->stage,
        .errnum = op->command.report->errnum,
    };
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_ERROR, agent_error_encode(&message, space, size));
}

bool exec_finish(struct exec_op *op, struct outbox *outbox)
{
    bool ran = op->command.report->stage == 0;

    if (ran)
        put_exit(op, outbox);
    else
        put_failure(op, outbox);
    command_end(&op->command);
    return ran;
}
