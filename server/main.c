/*
 * atoll-server: the API. Opens what the services share, starts HTTP behind the edge, and waits for
 * a signal. docs/architecture.md has the picture.
 */
#include "lib/base/util.h"
#include "lib/config/config.h"
#include "lib/db/db.h"
#include "lib/db/migrate.h"
#include "lib/db/store_run.h"
#include "lib/runtime/launcher_client.h"
#include "server/address_file.h"
#include "server/auth/auth.h"
#include "server/edge/edge.h"
#include "server/http.h"
#include "server/http/link.h"
#include "server/routes/router.h"
#include "server/services/late_records.h"

#include <atoll/log.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

enum {
    SPARE_THREADS = 32,          /* for requests beside the executions: a few milliseconds each */
    QUEUE_TIMEOUT_MS = 5000,     /* then 503 rather than a wait that nobody sees */
    DRAIN_MS = 10000,            /* for requests under way when the server is told to stop */
    LAUNCHER_TIMEOUT_MS = 10000, /* it answers in milliseconds; longer and it is away */
    DATABASE_RETRY_SECONDS = 1,
};

/* A configuration and those that reloads have replaced. */
struct loaded_config {
    struct config config;
    struct loaded_config *before;
};

/* Everything that lives as long as the process. */
struct server {
    struct loaded_config *loaded;
    int argc;
    char **argv;
    const struct config *config; /* the current one; server_reload replaces it */
    struct services services;
    struct router router;
    struct http *http;
    struct edge *edge;
    int signals; /* a signalfd of SIGTERM, SIGINT and SIGHUP */
};

static void server_close(struct server *server)
{
    address_file_remove(server->config->state_run_dir);
    edge_stop(server->edge, DRAIN_MS);
    http_stop(server->http);
    late_records_stop(server->services.late_records);
    auth_destroy(server->router.auth);
    launcher_client_free(server->services.launcher);
    db_pool_free(server->services.db);
    while (server->loaded) {
        struct loaded_config *loaded = server->loaded;

        server->loaded = loaded->before;
        config_done(&loaded->config);
        free(loaded);
    }
}

/* Loads the configuration; NULL on failure. The result belongs to the server. */
static struct config *load_config(struct server *server, struct error *err)
{
    size_t count = (size_t)server->argc;
    _cleanup_free_ char **arguments = calloc(count + 1, sizeof(*arguments));
    struct loaded_config *loaded = calloc(1, sizeof(*loaded));

    if (!arguments || !loaded) {
        (void)error_set(err, ERR_INTERNAL, "out of memory");
        free(loaded);
        return NULL;
    }
    memcpy(arguments, server->argv, count * sizeof(*arguments)); /* the loader takes options out */
    if (config_load_daemon(server->argc, arguments, &loaded->config, err) < 0) {
        free(loaded);
        return NULL;
    }
    loaded->before = server->loaded;
    server->loaded = loaded;
    return &loaded->config;
}

static enum log_level level_of(const struct config *config)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(config->logging_level, names[i]) == 0)
            return (enum log_level)i;
    }
    return LOG_INFO;
}

/* Blocked before any thread starts, so that signals arrive at the descriptor alone. */
static int open_signals(int *ret_fd, struct error *err)
{
    sigset_t set;
    int fd;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return error_set(err, ERR_INTERNAL, "cannot block signals");
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open a signalfd");
    *ret_fd = fd;
    return 0;
}

/* A node is a host and a run folder: two installations of one host are two nodes. */
static int name_node(const struct config *config, char name[static STORE_NODE_MAX + 1],
                     struct error *err)
{
    char host[HOST_NAME_MAX + 1] = "";
    int room = STORE_NODE_MAX - 1 - (int)strlen(config->state_run_dir);

    if (gethostname(host, sizeof(host) - 1) < 0)
        return error_set_errno(err, errno, "cannot read the host's name");
    (void)snprintf(name, STORE_NODE_MAX + 1, "%.*s:%s", room, host, config->state_run_dir);
    return 0;
}

static int open_services(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct services *services = &server->services;

    atomic_store(&services->config, config);
    services->admission.limit = (unsigned)config->sandbox_max_concurrent;
    if (name_node(config, services->node_id, err) < 0)
        return -1;
    if (id_new(&services->boot_id, err) < 0 ||
        db_pool_create(config->database_url, (size_t)config->database_pool_size, "atoll-server",
                       &services->db, err) < 0 ||
        launcher_client_open(config->state_run_dir, LAUNCHER_TIMEOUT_MS, &services->launcher, err) <
            0 ||
        late_records_start(services->db, &services->late_records, err) < 0)
        return -1;
    server->router.services = services;
    return auth_create(config, &server->router.auth, err);
}

/* Waits at most `seconds` for a signal; returns it, 0 when none came. */
static int wait_for_signal(const struct server *server, int seconds)
{
    struct pollfd poll_fd = {.fd = server->signals, .events = POLLIN};
    struct signalfd_siginfo info;

    if (poll(&poll_fd, 1, seconds < 0 ? -1 : seconds * 1000) <= 0)
        return 0;
    if (read(server->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

/*
 * Makes this process the node's server in PostgreSQL: from then on the runs of an earlier one are
 * lost. A database that is away is waited for. Returns 1 when a signal ended the wait.
 */
static int register_node(struct server *server, struct error *err)
{
    const struct services *services = &server->services;
    bool told = false;

    for (;;) {
        if (db_check_schema(services->db, db_migrations, db_migrations_count, err) == 0 &&
            store_node_register(services->db, services->node_id, &services->boot_id, err) == 0)
            return 0;
        if (err->code != ERR_UNAVAILABLE)
            return -1;
        if (!told)
            log_warn("waiting for PostgreSQL: %s", err->message);
        told = true;
        if (wait_for_signal(server, DATABASE_RETRY_SECONDS) != 0)
            return 1;
    }
}

static struct edge_limits limits_of(const struct config *config)
{
    return (struct edge_limits){
        .max_body_bytes = (uint64_t)config->server_max_body_bytes,
        .request_timeout_ms = (uint32_t)config->server_body_timeout_ms,
        .idle_timeout_ms = (uint32_t)config->server_idle_timeout_ms,
    };
}

static int start_listening(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    char secret[EDGE_SECRET_SIZE];
    unsigned threads = (unsigned)config->sandbox_max_concurrent + SPARE_THREADS;
    struct http_options http_options = {
        .threads = threads,
        .request_timeout_ms = (unsigned)config->server_body_timeout_ms,
        .edge_secret = secret,
        .handler = router_handle,
        .user = &server->router,
    };
    struct edge_options edge_options = {
        .host = config->server_host,
        .port = (uint16_t)config->server_port,
        .secret = secret,
        .max_connections = (unsigned)config->server_max_connections,
        .upstreams = threads,
        .max_queued = (unsigned)config->server_max_connections,
        .queue_timeout_ms = QUEUE_TIMEOUT_MS,
        .limits = limits_of(config),
    };
    uint16_t port;

    if (edge_secret_new(secret, err) < 0 || http_start(&http_options, &server->http, err) < 0)
        return -1;
    edge_options.upstream_port = http_port(server->http);
    if (edge_start(&edge_options, &server->edge, &port, err) < 0)
        return -1;
    log_info("listening on %s:%u", config->server_host, port);
    return address_file_write(config->state_run_dir, config->server_host, port, err);
}

/* Keys that a running server cannot change keep their value, and the log says so. */
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

/*
 * SIGHUP. The configuration before is kept until the end: a request's thread may be reading it, and
 * it is a few hundred bytes a reload.
 */
static void server_reload(struct server *server)
{
    struct error err = {0};
    struct config *fresh = load_config(server, &err);
    struct edge_limits limits;

    if (!fresh || keep_fixed_keys(server->config, fresh, &err) < 0) {
        log_error("the configuration stays as it was: %s", err.message);
        return;
    }
    limits = limits_of(fresh);
    server->config = fresh;
    atomic_store(&server->services.config, fresh);
    edge_set_limits(server->edge, &limits);
    log_init("atoll-server", level_of(fresh), strcmp(fresh->logging_format, "json") == 0);
    log_info("the configuration is reloaded");
}

static int serve(struct server *server, struct error *err)
{
    int waited;

    if (open_services(server, err) < 0)
        return -1;
    waited = register_node(server, err);
    if (waited != 0)
        return waited < 0 ? -1 : 0;
    if (start_listening(server, err) < 0)
        return -1;
    while (wait_for_signal(server, -1) == SIGHUP)
        server_reload(server);
    return 0;
}

int main(int argc, char **argv)
{
    struct server server = {.argc = argc, .argv = argv, .signals = -1};
    struct config *config;
    struct error err = {0};
    int result;

    if (argc == 2 && strcmp(argv[1], "--print-routes") == 0) {
        router_print_routes(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--print-errors") == 0) {
        router_print_errors(stdout);
        return 0;
    }
    log_init("atoll-server", LOG_INFO, false);
    config = load_config(&server, &err);
    if (!config) {
        log_error("%s", err.message);
        return 2;
    }
    server.config = config;
    log_init("atoll-server", level_of(config), strcmp(config->logging_format, "json") == 0);
    result = open_signals(&server.signals, &err);
    if (result == 0)
        result = serve(&server, &err);
    if (result < 0)
        log_error("cannot serve: %s", err.message);
    server_close(&server);
    return result < 0 ? 1 : 0;
}
