/*
 * What the daemons share of their top level, and why this part of a library logs: configuration,
 * logging, reload, signals. daemon_main is the whole of it for a daemon with one thread that works
 * at intervals (monitor, worker); the server takes parts.
 */
#ifndef LIB_RUNTIME_DAEMON_H
#define LIB_RUNTIME_DAEMON_H

#include "lib/config/config.h"
#include "lib/config/program.h"
#include "lib/db/db.h"
#include "lib/db/store_run.h"

#include <atoll/error.h>
#include <stdint.h>

enum daemon_wake {
    DAEMON_DEADLINE,
    DAEMON_STOP,   /* SIGTERM or SIGINT */
    DAEMON_RELOAD, /* SIGHUP */
};

/* For a deadline that never comes. */
#define DAEMON_NEVER INT64_MAX

/* Logs as the configuration says from now on. `program` must live as long as the process. */
void daemon_log_init(const char *program, const struct config *config);

/*
 * Blocks the three signals and SIGPIPE; they arrive at the descriptor, which the caller closes.
 * Before any thread starts, so that every thread has them blocked.
 */
int daemon_signals_open(int *ret_fd, struct error *err);

/* Waits until a monotonic deadline in microseconds. One that is over still looks for a signal. */
enum daemon_wake daemon_wait(int signals, int64_t deadline_usec);

/*
 * Loads the configuration anew. Keys that a running daemon cannot change keep their value of
 * `current`, and the log names those that differ. The caller releases *ret_fresh.
 */
int daemon_load_again(const struct config_options *options, const struct config *current,
                      struct config *ret_fresh, struct error *err);

/* A running daemon. It owns what is in it; its body reads `config` after each reload again. */
struct daemon {
    const char *program;
    struct config_options options;
    struct config config;
    struct db_pool *pool; /* one connection as atoll_system */
    int signals;
};

/* The daemon's work until it is told to stop. An error ends the daemon. */
typedef int (*daemon_body)(struct daemon *daemon, struct error *err);

/*
 * A daemon's main: command line, configuration, signals, pool; waits for a database with the right
 * schema, then runs `body`. Returns main's result: PROGRAM_MISUSED for what the operator has to
 * mend in the command line or the configuration.
 */
int daemon_main(const struct program *program, daemon_body body, int argc, char **argv);

/* Replaces daemon->config after SIGHUP; one that has become wrong is logged and changes nothing. */
void daemon_reload(struct daemon *daemon);

/*
 * The name of the node that a server and a worker of this configuration belong to: a host and a run
 * folder, so that two installations of one host are two nodes.
 */
int daemon_node_name(const struct config *config, char name[static STORE_NODE_MAX + 1],
                     struct error *err);

/* "<what>: <error>", with the operator's reason when the database is away. */
void daemon_log_failure(const struct daemon *daemon, const char *what, const struct error *err);

#endif
