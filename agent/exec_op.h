/*
 * One EXEC: a command from its start to its EXIT frame.
 *
 * The exit is reported once the command's own process has ended and the bytes that were in its
 * output pipes at that moment have been passed on. Processes that it left behind may hold the pipes
 * open; they do not delay the report, and live on unless AGENT_EXEC_KILL_LEFTOVERS was asked for
 * or the deadline passed.
 */
#ifndef AGENT_EXEC_OP_H
#define AGENT_EXEC_OP_H

#include "agent/outbox.h"
#include "agent/spawn.h"
#include "lib/agentproto/message.h"

#include <sys/resource.h>

enum { EXEC_STREAMS = 2 }; /* stdout, stderr */

struct exec_stream {
    int fd;     /* the agent's end; -1 when done with */
    bool ready; /* reading may give something */
    bool truncated;
    uint64_t left;  /* bytes that may still be kept */
    uint64_t drain; /* after the exit: bytes that are still the command's */
};

enum exec_phase {
    EXEC_RUNNING,
    EXEC_TERMINATING, /* the deadline passed, TERM was sent */
    EXEC_KILLING,     /* the tree must be gone before EXIT is sent */
};

struct exec_op {
    bool active;
    bool exited;
    bool timed_out;
    bool kill_leftovers;
    bool stdin_ready;
    bool recheck; /* a child died since exec_settled last looked */
    enum exec_phase phase;
    pid_t pid;
    int stdin_fd;
    int status;
    uint32_t grace_ms;
    uint64_t mark;
    int64_t started_usec; /* monotonic, like deadline_usec */
    int64_t exited_usec;
    int64_t deadline_usec; /* of the next phase; INT64_MAX: none */
    struct rusage usage;
    volatile struct spawn_report *report;
    struct exec_stream streams[EXEC_STREAMS];
};

/*
 * Starts the command; `index` is its peer's, `report` memory shared with children. Fills
 * `ret_error` and returns false when there is no process.
 */
bool exec_start(struct exec_op *op, struct agent_exec_message *message, uint32_t index,
                volatile struct spawn_report *report, struct agent_error_message *ret_error);

/* Gives bytes to the command's stdin; returns how many were taken. Without a reader: all. */
size_t exec_feed(struct exec_op *op, const uint8_t *bytes, size_t size);
void exec_close_stdin(struct exec_op *op);

/* Moves output on. True when anything moved. */
bool exec_pump(struct exec_op *op, struct outbox *outbox);

/* The command's process was reaped. */
void exec_exited(struct exec_op *op, int status, const struct rusage *usage);

/* Some child of the agent died: what EXIT waits for may have happened. */
void exec_child_died(struct exec_op *op);

/* Acts on a deadline that has passed. */
void exec_expire(struct exec_op *op, int64_t now_usec);

/* Nobody waits for the command any more: kills its tree and drops its output. */
void exec_abandon(struct exec_op *op);

/* True when all that EXIT waits for has happened. */
bool exec_settled(struct exec_op *op);

/* Ends the operation: puts EXIT or ERROR into the outbox, which must have room for a control
 * frame. True when the command had run. */
bool exec_finish(struct exec_op *op, struct outbox *outbox);

/* Ends an abandoned operation without a word. */
void exec_forget(struct exec_op *op);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t exec_clock_usec(void);

#endif
