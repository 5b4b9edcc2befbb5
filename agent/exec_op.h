/*
 * One EXEC: a command whose output goes to its client, from its start to its EXIT frame.
 */
#ifndef AGENT_EXEC_OP_H
#define AGENT_EXEC_OP_H

#include "agent/command.h"
#include "agent/outbox.h"

struct exec_output {
    bool truncated;
    uint64_t left; /* bytes that may still be sent */
};

struct exec_op {
    struct command command;
    struct exec_output outputs[COMMAND_STREAMS];
};

/*
 * Starts the command; `index` is its peer's, `report` memory shared with children. Fills
 * `ret_error` and returns false when there is no process.
 */
bool exec_start(struct exec_op *op, struct agent_exec_message *message, uint32_t index,
                volatile struct spawn_report *report, struct agent_error_message *ret_error);

/* Moves output on. True when anything moved. */
bool exec_pump(struct exec_op *op, struct outbox *outbox);

/* Ends the operation: puts EXIT or ERROR into the outbox, which must have room for a control
 * frame. True when the command had run. */
bool exec_finish(struct exec_op *op, struct outbox *outbox);

#endif
