#include "lib/runtime/daemon.h"

#include "lib/base/util.h"
#include "lib/db/migrate.h"

#include <atoll/log.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SCHEMA_RETRY_USEC = 1000000 };

int daemon_signals_open(int *ret_fd, struct error *err)
{
    sigset_t set;
    int fd;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open a signalfd");
    (void)sigaddset(&set, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    *ret_fd = fd;
    return 0;
}

enum daemon_wake daemon_wait(int signals, int64_t deadline_usec)
{
    struct pollfd poller = {.fd = signals, .events = POLLIN};
    struct signalfd_siginfo info;

    for (;;) {
        int left = deadline_left_ms(deadline_usec);

        (void)poll(&poller, 1, left);
        if (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
            return info.ssi_signo == SIGHUP ? DAEMON_RELOAD : DAEMON_STOP;
        if (left == 0)
            return DAEMON_DEADLINE;
    }
}

void daemon_log_init(const char *program, const struct config *config)
{
    enum log_level level = LOG_INFO;

    (void)log_level_parse(config->logging_level, &level);
    log_init(program, level, strcmp(config->logging_format, "json") == 0);
}

/* Puts the current values of the keys that are not reloadable in the place of the fresh ones. */
static int keep_fixed_keys(const struct config *current, struct config *fresh, struct error *err)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        char old_buffer[CONFIG_TEXT_SIZE], new_buffer[CONFIG_TEXT_SIZE];
        const char *old_text = config_value_text(current, key, old_buffer);

        if (key->reloadable || strcmp(old_text, config_value_text(fresh, key, new_buffer)) == 0)
            continue;
        log_warn("%s.%s changes with a restart only", key->section, key->name);
        if (config_set(fresh, (enum config_key_index)i, old_text, err) < 0)
            return -1;
    }
    return 0;
}

int daemon_load_again(const struct config_options *options, const struct config *current,
                      struct config *ret_fresh, struct error *err)
{
    struct config fresh;

    if (config_load(options, &fresh, NULL, err) < 0)
        return -1;
    if (keep_fixed_keys(current, &fresh, err) < 0) {
        config_done(&fresh);
        return -1;
    }
    *ret_fresh = fresh;
    return 0;
}

void daemon_reload(struct daemon *daemon)
{
    struct config fresh;
    struct error err;

    if (daemon_load_again(&daemon->options, &daemon->config, &fresh, &err) < 0) {
        log_error("the configuration stays as it was: %s", err.message);
        return;
    }
    config_done(&daemon->config);
    daemon->config = fresh;
    daemon_log_init(daemon->program, &fresh);
    log_info("the configuration is reloaded");
}

void daemon_log_failure(const struct daemon *daemon, const char *what, const struct error *err)
{
    char reason[ERROR_MESSAGE_MAX] = "";

    if (err->code == ERR_UNAVAILABLE)
        db_pool_failure(daemon->pool, reason);
    log_warn("%s: %s%s%s", what, err->message, reason[0] ? ": " : "", reason);
}

static void close_daemon(struct daemon *daemon)
{
    db_pool_free(daemon->pool);
    cleanup_close(&daemon->signals);
    config_done(&daemon->config);
}

static int configure(struct daemon *daemon, int argc, char **argv, struct error *err)
{
    if (config_take_only_options(argc, argv, &daemon->options, err) < 0 ||
        config_load(&daemon->options, &daemon->config, NULL, err) < 0)
        return -1;
    daemon_log_init(daemon->program, &daemon->config);
    return 0;
}

static int open_daemon(struct daemon *daemon, struct error *err)
{
    if (daemon_signals_open(&daemon->signals, err) < 0)
        return -1;
    return db_pool_create(daemon->config.database_system_url, 1, daemon->program, &daemon->pool,
                          err);
}

/* Waits for the schema; 1 when a signal ended the wait. */
static int await_schema(struct daemon *daemon, struct error *err)
{
    bool logged = false;

    while (db_check_schema(daemon->pool, db_migrations, db_migrations_count, err) < 0 ||
           db_check_cluster(daemon->pool, err) < 0) {
        if (err->code != ERR_UNAVAILABLE)
            return -1;
        if (!logged)
            daemon_log_failure(daemon, "waiting for PostgreSQL", err);
        logged = true;
        if (daemon_wait(daemon->signals, monotonic_usec() + SCHEMA_RETRY_USEC) == DAEMON_STOP)
            return 1;
    }
    return 0;
}

static int run(struct daemon *daemon, daemon_body body, struct error *err)
{
    int waited;

    if (open_daemon(daemon, err) < 0)
        return -1;
    waited = await_schema(daemon, err);
    if (waited != 0)
        return waited < 0 ? -1 : 0;
    return body(daemon, err);
}

int daemon_main(const struct program *program, daemon_body body, int argc, char **argv)
{
    _cleanup_(close_daemon) struct daemon daemon = {.program = program->name, .signals = -1};
    struct error err;
    int code;

    if (program_answer(program, argc, argv, &code))
        return code;
    log_init(program->name, LOG_INFO, false);
    if (configure(&daemon, argc, argv, &err) < 0) {
        log_error("%s", err.message);
        return PROGRAM_MISUSED;
    }
    if (run(&daemon, body, &err) < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    log_info("stopped");
    return EXIT_SUCCESS;
}

int daemon_node_name(const struct config *config, char name[static STORE_NODE_MAX + 1],
                     struct error *err)
{
    char host[HOST_NAME_MAX + 1] = "";
    int room = STORE_NODE_MAX - 1 - (int)strlen(config->state_run_dir);

    if (gethostname(host, sizeof(host) - 1) < 0)
        return error_set_errno(err, errno, "cannot read the host's name");
    (void)snprintf(name, STORE_NODE_MAX + 1, "%.*s%s", room, host, config->state_run_dir);
    /* A name is one segment of a URL's path. */
    for (char *c = name; *c != '\0'; c++)
        if (*c == '/')
            *c = ':';
    return 0;
}
