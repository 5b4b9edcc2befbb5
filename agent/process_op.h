/*
 * What a connection does with processes (agent/process.h): at most one operation at a time. The
 * process does not notice when the connection goes.
 */
#ifndef AGENT_PROCESS_OP_H
#define AGENT_PROCESS_OP_H

#include "agent/log_reader.h"
#include "agent/outbox.h"
#include "agent/process.h"

enum process_op_kind {
    PROCESS_OP_NONE,
    PROCESS_OP_START,
    PROCESS_OP_LIST,
    PROCESS_OP_WAIT,
    PROCESS_OP_ATTACH,
    PROCESS_OP_INPUT,
    PROCESS_OP_STOP,
};

struct process_op {
    enum process_op_kind kind;
    uint32_t index; /* of the process; LIST: where to go on */
    uint32_t serial;
    uint32_t flags; /* AGENT_ATTACH_*, AGENT_INPUT_* */
    uint64_t count; /* LIST: entries; INPUT: bytes taken */
    bool greeted;   /* ATTACH: the first PROCESS was sent */
    int64_t deadline_usec;
    struct log_reader reader;
    struct agent_error_message error; /* INPUT: the first failure; the rest is dropped */
};

/* Zeroed is idle; these begin an operation. False with `ret_error` when it is over already. */
bool process_op_start(struct process_op *op, struct agent_start_message *message,
                      struct agent_error_message *ret_error);
void process_op_list(struct process_op *op);
void process_op_stop(struct process_op *op);
bool process_op_wait(struct process_op *op, const struct agent_wait_message *message,
                     struct agent_error_message *ret_error);
bool process_op_attach(struct process_op *op, const struct agent_attach_message *message,
                       struct agent_error_message *ret_error);

/* INPUT: its failures are kept until process_op_input_end. */
void process_op_input(struct process_op *op, const struct agent_input_message *message);

/* Gives bytes to the process; returns how many were taken. */
size_t process_op_feed(struct process_op *op, const uint8_t *bytes, size_t size);

/* False with `ret_error` when not all was taken. */
bool process_op_input_end(struct process_op *op, struct agent_error_message *ret_error);

/* These are over at once; false with `ret_error` when they failed. */
bool process_op_signal(const struct agent_signal_message *message,
                       struct agent_error_message *ret_error);
bool process_op_resize(const struct agent_resize_message *message,
                       struct agent_error_message *ret_error);
bool process_op_forget(const struct agent_forget_message *message,
                       struct agent_error_message *ret_error);

/* True while an operation waits for something other than the client's bytes. */
bool process_op_busy(const struct process_op *op);

enum process_op_step {
    PROCESS_OP_WAITS,
    PROCESS_OP_MOVED,
    PROCESS_OP_DONE,   /* its last frame was put into the outbox: over */
    PROCESS_OP_FAILED, /* over; `ret_error` is to be sent */
};

/* Puts what there is to say into the outbox. */
enum process_op_step process_op_pump(struct process_op *op, struct outbox *outbox,
                                     struct agent_error_message *ret_error);

/* The connection is gone. */
void process_op_abandon(struct process_op *op);

#endif
