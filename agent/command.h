/*
 * A command from its start until it is over: its process, its pipes or terminal, its deadline and
 * its tree. Where its output goes is the user's: an EXEC passes it on (agent/exec_op.h), a process
 * keeps it in a log (agent/process.h).
 *
 * It is over once its own process has ended and the bytes that were in its output pipes at that
 * moment have been taken. Processes that it left behind may hold the pipes open; they do not delay
 * that, and live on unless they are to be killed or the deadline passed.
 */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#include "agent/poller.h"
#include "agent/spawn.h"
#include "lib/agentproto/message.h"

#include <sys/resource.h>

enum { COMMAND_STREAMS = 2 }; /* stdout, stderr */

struct command_stream {
    int fd;         /* the agent's end; -1 when done with */
    bool ready;     /* reading may give something */
    uint64_t drain; /* after the exit: bytes that are still the command's */
};

enum command_phase {
    COMMAND_RUNNING,
    COMMAND_TERMINATING, /* the deadline passed, TERM was sent */
    COMMAND_KILLING,     /* the tree must be gone before it is over */
};

struct command {
    bool active;
    bool exited;
    bool timed_out;
    bool kill_leftovers;
    bool terminal;
    bool archive;
    bool stdin_ready;
    bool recheck; /* a child died since command_settled last looked */
    enum command_phase phase;
    pid_t pid;
    int stdin_fd;
    int start_fd; /* ends when the program has been executed, or will never be; else -1 */
    int status;
    uint32_t grace_ms;
    uint64_t mark;
    int64_t started_usec; /* monotonic, like deadline_usec */
    int64_t exited_usec;
    int64_t deadline_usec; /* of the next phase; INT64_MAX: none */
    struct rusage usage;
    volatile struct spawn_report *report;
    struct command_stream streams[COMMAND_STREAMS];
};

struct command_options {
    uint32_t index; /* of its events */
    uint32_t timeout_ms;
    uint32_t grace_ms;
    bool input; /* stdin is a pipe */
    bool terminal;
    bool kill_leftovers;
    bool archive;  /* runs the archive program */
    bool confirm;  /* tells by start_fd when the program runs */
    uint16_t rows; /* of the terminal */
    uint16_t columns;
    volatile struct spawn_report *report; /* memory shared with children */
};

/* Where output goes. `space` gives room for the next bytes of a stream, or NULL when they must
 * wait; `received` tells how many were stored there. */
struct command_sink {
    void *context;
    uint8_t *(*space)(void *context, unsigned stream, size_t *ret_size);
    void (*received)(void *context, unsigned stream, size_t size);
};

/* Adds the defaults to the environment of `what`, which needs room for AGENT_ENV_DEFAULTS more.
 * Fills `ret_error` and returns false when there is no process. */
bool command_start(struct command *command, struct agent_command *what,
                   const struct command_options *options, struct agent_error_message *ret_error);

/* Notes an event of one of its descriptors. */
void command_event(struct command *command, enum poller_source source);

/* Gives bytes to the command's stdin; returns how many were taken. Without a reader: all. */
size_t command_feed(struct command *command, const uint8_t *bytes, size_t size);
void command_close_stdin(struct command *command);

/* Moves output on. True when anything moved. */
bool command_pump(struct command *command, const struct command_sink *sink);

/* True once it is known whether the program runs; `report` has the reason when it does not. */
bool command_confirmed(struct command *command);

/* The command's process was reaped. */
void command_exited(struct command *command, int status, const struct rusage *usage);

/* Some child of the agent died: what the end waits for may have happened. */
void command_child_died(struct command *command);

/* Acts on a deadline that has passed. */
void command_expire(struct command *command, int64_t now_usec);

/* Nobody waits for the command any more: kills its tree and drops its output. */
void command_abandon(struct command *command);

/* True when all has happened that must before it is over. */
bool command_settled(struct command *command);

/* It is over: what it left running is nobody's. */
void command_end(struct command *command);

/* Microseconds that process times and the like are told in. */
uint64_t command_wall_usec(const struct command *command);
uint64_t command_user_usec(const struct command *command);
uint64_t command_system_usec(const struct command *command);
uint64_t command_max_rss_bytes(const struct command *command);

#endif
