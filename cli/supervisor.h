/*
 * Keeps services running: starts them, starts them again with back-off when they die, and stops
 * them in the reverse order of their start. One thread, one loop over pidfds and a signalfd.
 *
 * supervisor_new takes SIGINT, SIGTERM and SIGHUP over for the process: they ask for the stop.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "cli/identity.h"
#include <atoll/cleanup.h>
#include <stdbool.h>
#include <stdint.h>

enum { SUPERVISOR_SERVICES_MAX = 8, SUPERVISOR_STOP_SECONDS = 10 };

struct service {
    const char *name;
    const char *path;                /* of the binary */
    const char *const *argv;         /* NULL-terminated */
    char *const *environment;        /* NULL-terminated */
    const struct identity *identity; /* NULL: stays root */
    int input;                       /* descriptor for its input, or -1 for /dev/null */
    int output;                      /* descriptor for its output, or -1 for ours; stays open */
    int stop_signal;                 /* asks it to end */
    int kill_signal;                 /* SUPERVISOR_STOP_SECONDS later */
    bool once;                       /* a job: it ends by itself and is not started again */
    const char *log;                 /* what tells more of its end; NULL: its output is ours */
};

struct supervisor;

/* The strings and arrays of services must outlive the supervisor. */
int supervisor_new(struct supervisor **ret_supervisor, struct error *err);

/* Stops what still runs. NULL is allowed. */
void supervisor_free(struct supervisor *supervisor);

DEFINE_CLEANUP(struct supervisor *, supervisor, supervisor_free)
#define _cleanup_supervisor_ _cleanup_(cleanup_supervisor)

/* Starts a service and watches it from now on. */
int supervisor_start(struct supervisor *supervisor, const struct service *service,
                     struct error *err);

enum supervisor_event {
    SUPERVISOR_FD,      /* `fd` is readable */
    SUPERVISOR_TIMEOUT, /* the deadline passed */
    SUPERVISOR_STOP,    /* a signal asked for the end */
};

/*
 * Watches the services until `fd` (or -1) is readable, `deadline_usec` (monotonic; 0: none) has
 * passed or a stop is asked for. With `strict` a service that dies is an error and is not started
 * again: a start that fails should say so, not try for ever.
 */
int supervisor_wait(struct supervisor *supervisor, int fd, int64_t deadline_usec, bool strict,
                    enum supervisor_event *ret_event, struct error *err);

/* Runs a job to its end while the services are watched strictly. A failing job is an error. */
int supervisor_run_job(struct supervisor *supervisor, const struct service *job, struct error *err);

/* Stops all that was started after the first `keep` services, the youngest first. */
void supervisor_stop(struct supervisor *supervisor, size_t keep);

#endif
