/* Event streams of the executor dialect, and its ways of saying that something failed. */
#ifndef SERVER_HANDLERS_EXECUTOR_EVENTS_H
#define SERVER_HANDLERS_EXECUTOR_EVENTS_H

#include "server/handlers/call.h"
#include "server/services/attach.h"

enum executor_events {
    EXECUTOR_EVENTS_OUTPUT, /* of run_streaming: ends with the exit code */
    EXECUTOR_EVENTS_LOG,    /* of process_logs_streaming: each line has its time */
};

/* Answers with a process's output; adds format and heartbeat to `options`. */
int executor_events_follow(struct call *call, const struct id *process, enum executor_events kind,
                           struct attach_options *options, struct error *err);

/* Answers with a stream of one event that says what is wrong. */
int executor_events_error(struct call *call, const char *message, struct error *err);

/* Answers 500 for a command that could not be started. */
int executor_refuse_start(struct call *call);

/*
 * A sandbox that does not run is ERR_UNAVAILABLE here: clients of the dialect try that again after
 * a while, when it may be started. Returns -1.
 */
int executor_explain(struct error *err);

#endif
