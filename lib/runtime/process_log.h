/*
 * The logs of processes as files, for a sandbox that is gone or whose agent is (docs/
 * agent-protocol.md, "Log files"). While the agent lives, lib/runtime/agent_attach.h reads the same
 * without a race.
 *
 * The files were written from inside the sandbox: hostile. Nothing is followed, no size is
 * believed, memory is fixed whatever they hold.
 */
#ifndef LIB_RUNTIME_PROCESS_LOG_H
#define LIB_RUNTIME_PROCESS_LOG_H

#include "lib/runtime/agent_process.h"

struct process_log;

enum process_log_kind {
    PROCESS_LOG_STATE, /* what was known of the process at this point */
    PROCESS_LOG_OUTPUT,
};

struct process_log_entry {
    enum process_log_kind kind;
    struct agent_process process; /* STATE */
    enum agent_stream stream;     /* OUTPUT, like the following */
    uint64_t offset;              /* of the first byte, among all output */
    uint64_t stream_offset;       /* of the first byte, in its stream */
    uint64_t gap;                 /* bytes before it that were wanted and are gone */
    int64_t time_usec;            /* Unix time at which it was read from the process */
    const void *bytes;            /* valid until the next call */
    size_t size;
};

/* Opens the log folder of one generation of a sandbox, <state_dir>/logs/<sandbox>/<generation>.
 * ERR_NOT_FOUND when there is none. */
int process_log_folder(const char *state_dir, const struct id *sandbox, uint32_t generation,
                       int *ret_fd, struct error *err);

/* Opens the log of a process, from the byte `offset` on. ERR_NOT_FOUND when there is none; free
 * with process_log_free. */
int process_log_open(int folder_fd, const struct id *process, uint64_t offset,
                     struct process_log **ret_log, struct error *err);

/* The next entry: 1; the end: 0; or -1, ERR_INTERNAL for a log that breaks its format. An entry
 * that was cut off by a crash is the end. */
int process_log_next(struct process_log *log, struct process_log_entry *ret_entry,
                     struct error *err);

/*
 * What the log says last of the process. Its state is AGENT_PROCESS_ENDED only if the agent saw the
 * real wait status; in a sandbox that has ended any other state means that nobody saw it: lost.
 */
int process_log_outcome(int folder_fd, const struct id *process, struct agent_process *ret_process,
                        struct error *err);

/* NULL is allowed. */
void process_log_free(struct process_log *log);

#endif
