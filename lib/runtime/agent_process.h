/*
 * The host's side of processes that live on their own in a sandbox (docs/agent-protocol.md): start,
 * look, signal, feed, wait, and read their output from any offset.
 *
 * As in agent_client.h, calls block until the answer or the deadline, and errors are the same. In
 * addition: ERR_NOT_FOUND when there is no such process, ERR_CONFLICT when its state does not allow
 * the call (a second start of an id, input after its end), ERR_TOO_MANY when the sandbox's table of
 * processes is full.
 */
#ifndef LIB_RUNTIME_AGENT_PROCESS_H
#define LIB_RUNTIME_AGENT_PROCESS_H

#include "lib/runtime/agent_client.h"

#include <atoll/agent_proto.h>
#include <atoll/id.h>
#include <atoll/sandbox.h>
#include <sys/types.h>

/* A process to start. Borrowed for the call. */
struct agent_start_request {
    struct id id;            /* the caller's choice; a second start of it is refused */
    const char *const *argv; /* as in struct agent_exec_request, like the next three */
    const char *const *env;
    const char *cwd;
    const char *user;
    bool input;    /* stdin is a pipe; else /dev/null */
    bool terminal; /* instead of pipes */
    uint16_t rows; /* of the terminal */
    uint16_t columns;
    bool kill_leftovers; /* what the process left running dies with it */
    uint32_t timeout_ms; /* of each attempt; 0: none */
    uint32_t grace_ms;   /* from TERM to KILL at the timeout */
    uint32_t retries;    /* it is started so often again when it fails */
    uint32_t backoff_ms; /* before the first of them; doubles, up to a minute */
    uint64_t log_bytes;  /* AGENT_LOG_BYTES_MIN..MAX; the oldest output is dropped beyond */
    uint32_t log_lines;  /* AGENT_LOG_LINES_MIN..MAX */
};

/* What is known of a process: claims of the sandbox. */
struct agent_process {
    struct id id;
    enum agent_process_state state;
    pid_t pid; /* inside the sandbox */
    uint32_t attempts;
    int exit_code; /* of the last attempt that ended: 0..255, or -1 when a signal did it */
    int signal;    /* or 0 */
    int errnum;    /* why a later attempt did not come to its program, or 0 */
    bool timed_out;
    bool truncated; /* the log has lost its oldest output */
    bool lost;      /* output could not be written to the log */
    bool terminal;
    bool input;           /* takes input */
    int64_t started_usec; /* Unix time, of the first attempt */
    int64_t ended_usec;   /* Unix time, of the last attempt that ended, or 0 */
    uint64_t wall_usec;   /* of the last attempt that ended, like the following */
    uint64_t user_usec;
    uint64_t system_usec;
    uint64_t max_rss_bytes;
    uint64_t log_begin; /* offset of the oldest byte that the log has */
    uint64_t log_end;   /* offset after the newest */
    uint64_t stdout_size;
    uint64_t stderr_size;
};

/* Starts a process; returns once its program runs. */
int agent_process_start(struct agent_client *client, const struct agent_start_request *request,
                        int64_t deadline_usec, struct agent_process *ret_process,
                        struct error *err);

/* All processes that were not forgotten, oldest entry first. `ret_processes` is the caller's to
 * free, NULL when there are none. */
int agent_process_list(struct agent_client *client, int64_t deadline_usec,
                       struct agent_process **ret_processes, size_t *ret_count, struct error *err);

/* The process with this id, NULL when it is not among them. */
const struct agent_process *agent_process_find(const struct agent_process *processes, size_t count,
                                               const struct id *id);

/* Sends a signal (1..AGENT_SIGNAL_MAX). With `final` the process is not started again. */
int agent_process_signal(struct agent_client *client, const struct id *id, int signum,
                         enum agent_signal_target target, bool final, int64_t deadline_usec,
                         struct error *err);

/* Gives bytes to its stdin or terminal, all of them, as fast as it reads; closes a pipe after them
 * with `close_after`. ERR_CONFLICT when it has no stdin or closed it. */
int agent_process_input(struct agent_client *client, const struct id *id, const void *data,
                        size_t size, bool close_after, int64_t deadline_usec, struct error *err);

int agent_process_resize(struct agent_client *client, const struct id *id, uint16_t rows,
                         uint16_t columns, int64_t deadline_usec, struct error *err);

/* What is known of it, once it has ended or `timeout_ms` have passed: `state` tells. With 0 at
 * once. The deadline should lie behind the timeout. */
int agent_process_wait(struct agent_client *client, const struct id *id, uint32_t timeout_ms,
                       int64_t deadline_usec, struct agent_process *ret_process, struct error *err);

/*
 * Ends all that runs in the sandbox, also what other connections run: TERM, after `grace_ms` KILL,
 * with 0 at once. Returns when all has ended, with the processes as agent_process_list. Until the
 * client is freed nothing can be started: ERR_CONFLICT.
 */
int agent_process_stop(struct agent_client *client, uint32_t grace_ms, int64_t deadline_usec,
                       struct agent_process **ret_processes, size_t *ret_count, struct error *err);

/* Drops an ended process from the sandbox's table, and its log if asked. ERR_CONFLICT while it
 * lives. */
int agent_process_forget(struct agent_client *client, const struct id *id, bool remove_log,
                         int64_t deadline_usec, struct error *err);

/* The end of a process that has ended in `sandbox`, for its row, which must be of that sandbox: the
 * id is the sandbox's word. The result borrows `sandbox`. */
struct process_end agent_process_end(const struct agent_process *process, const struct id *sandbox);

struct agent_process_message;

/* The one translation from the wire, for this module and the reader of log files. */
void agent_process_from_message(const struct agent_process_message *message,
                                struct agent_process *ret_process);

#endif
