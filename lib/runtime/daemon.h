/*
 * The waiting of a daemon that works at intervals: until a monotonic deadline or a signal,
 * whichever is first. For programs with one thread.
 */
#ifndef LIB_RUNTIME_DAEMON_H
#define LIB_RUNTIME_DAEMON_H

#include <atoll/error.h>
#include <stdint.h>

enum daemon_wake {
    DAEMON_DEADLINE,
    DAEMON_STOP,   /* SIGTERM or SIGINT */
    DAEMON_RELOAD, /* SIGHUP */
};

/* Blocks the three signals and SIGPIPE; they arrive at the descriptor, which the caller closes. */
int daemon_signals_open(int *ret_fd, struct error *err);

/* Waits. A deadline that is over still looks for a signal first. */
enum daemon_wake daemon_wait(int signals, int64_t deadline_usec);

#endif
