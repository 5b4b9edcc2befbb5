/*
 * atoll-server: the API. Opens what the services share, starts HTTP behind the edge, and waits for
 * a signal. docs/architecture.md has the picture.
 */
#include "lib/base/util.h"
#include "lib/config/config.h"
#include "lib/db/db.h"
#include "lib/db/migrate.h"
#include "lib/db/store_run.h"
#include "lib/runtime/daemon.h"
#include "lib/runtime/launcher_client.h"
#include "server/address_file.h"
#include "server/auth/auth.h"
#include "server/edge/edge.h"
#include "server/handlers/description.h"
#include "server/http.h"
#include "server/http/cors.h"
#include "server/http/link.h"
#include "server/identity.h"
#include "server/routes/openapi.h"
#include "server/routes/router.h"
#include "server/services/activity.h"
#include "server/services/agents.h"
#include "server/services/attach.h"
#include "server/services/audit.h"
#include "server/services/events.h"
#include "server/services/executors.h"
#include "server/services/holdings.h"
#include "server/services/idempotency.h"
#include "server/services/late_records.h"
#include "server/services/node.h"
#include "server/services/places.h"
#include "server/services/waits.h"
#include "server/services/watches.h"
#include "server/stream/stream.h"

#include <atoll/log.h>
#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

enum {
    WAITING_THREADS = 192,       /* for starts that wait for their turn; more than a flow has */
    WAIT_MS = 2000,              /* so long; then 429 */
    TURN_MS = 20,                /* of what has started: most commands are done by then */
    SHARE_MS = 100,              /* that a tenant may pause between its starts */
    SPARE_THREADS = 32,          /* for requests beside these: a few milliseconds each */
    QUEUE_TIMEOUT_MS = 5000,     /* then 503 rather than a wait that nobody sees */
    HTTP_GRACE_MS = 5000,        /* that the HTTP layer waits longer than the edge */
    DRAIN_MS = 10000,            /* for requests under way when the server is told to stop */
    LAUNCHER_TIMEOUT_MS = 10000, /* it answers in milliseconds; longer and it is away */
    AGENT_IDLE_MS = 1000,        /* that a connection to an agent is kept for the next command */
    DATABASE_RETRY_USEC = 1000000,
    STREAM_GUARD_MS = 10000, /* a revoked key ends a stream after this and the guard's own time */
    STREAM_OFFER_MS = 10000, /* the edge takes a stream at once, or its client has gone */
    STREAM_HEARTBEAT_MS = 15000, /* proxies give up on what is silent for 30 to 60 s */
};

/* A configuration and those that reloads have replaced. */
struct loaded_config {
    struct config config;
    struct loaded_config *before;
};

/* Everything that lives as long as the process. */
struct server {
    struct loaded_config *loaded;
    struct config_options options;
    const struct config *config; /* the current one; server_reload replaces it */
    struct services services;
    struct token_maker token_maker;
    struct router router;
    struct description description;
    struct http *http;
    struct edge *edge;
    struct node_reporter *reporter;
    int signals; /* a signalfd of SIGTERM, SIGINT and SIGHUP */
};

static void server_close(struct server *server)
{
    address_file_remove(server->config->state_run_dir);
    edge_stop(server->edge, DRAIN_MS);
    http_stop(server->http);
    streams_stop(server->services.streams); /* their guards ask what is stopped next */
    node_reporter_stop(server->reporter);
    late_records_stop(server->services.late_records);
    idempotency_free(server->services.idempotency);
    event_follower_stop(server->services.event_follower);
    attach_stop(server->services.attach);
    executors_free(server->services.executors);
    watches_stop(server->services.watches);
    streams_free(server->services.streams);
    activity_stop(server->services.activity);
    agents_stop(server->services.agents);
    places_free(server->services.transfers);
    places_free(server->services.waits);
    places_free(server->services.requests);
    holdings_free(server->services.holdings);
    description_done(&server->description);
    auth_destroy(server->router.auth);
    audit_stop(server->services.audit);
    launcher_client_free(server->services.launcher);
    admission_close(server->services.admission);
    transitions_done(&server->services.transitions);
    db_pool_free(server->services.db);
    while (server->loaded) {
        struct loaded_config *loaded = server->loaded;

        server->loaded = loaded->before;
        config_done(&loaded->config);
        free(loaded);
    }
}

/* Makes a loaded configuration the current one; the server owns it from now on. */
static void adopt_config(struct server *server, struct loaded_config *loaded)
{
    loaded->before = server->loaded;
    server->loaded = loaded;
    server->config = &loaded->config;
    daemon_log_init("atoll-server", server->config);
}

/* What the table of keys cannot say. A configuration that is refused is freed. */
static int check_config(struct config *config, struct error *err)
{
    if (cors_check_origins(config->server_cors_origins, err) == 0)
        return 0;
    config_done(config);
    return -1;
}

static int load_config(struct server *server, int argc, char **argv, struct error *err)
{
    _cleanup_free_ struct loaded_config *loaded = calloc(1, sizeof(*loaded));

    if (!loaded)
        return error_set_errno(err, ENOMEM, "cannot load the configuration");
    if (config_take_only_options(argc, argv, &server->options, err) < 0 ||
        config_load(&server->options, &loaded->config, NULL, err) < 0 ||
        check_config(&loaded->config, err) < 0)
        return -1;
    adopt_config(server, TAKE_PTR(loaded));
    return 0;
}

/* The threads that starts may hold, of those that requests have. */
static unsigned held_threads(const struct config *config)
{
    return (unsigned)config->sandbox_max_concurrent + WAITING_THREADS;
}

/* All that requests have. */
static unsigned all_threads(const struct config *config)
{
    return held_threads(config) + WAITS_MAX + SPARE_THREADS;
}

/* What one client may have under way: fewer than starts may hold, so that a burst waits at the edge
 * rather than be refused, and no more than it can use, so that others need not pass it. */
static unsigned flow_threads(const struct config *config)
{
    unsigned running = (unsigned)config->sandbox_max_concurrent;

    return (running > WAITS_OF_TENANT ? running : WAITS_OF_TENANT) + SPARE_THREADS;
}

/* What one tenant may have under way, with however many credentials. */
static unsigned tenant_threads(const struct config *config)
{
    unsigned half = all_threads(config) / 2;
    unsigned flow = flow_threads(config);

    return half > flow ? half : flow;
}

static int open_admission(const struct config *config, struct admission **ret_admission,
                          struct error *err)
{
    struct admission_limits limits = {
        .starting = (unsigned)config->sandbox_max_starts,
        .running = (unsigned)config->sandbox_max_concurrent,
        .held = held_threads(config),
        .turn_ms = TURN_MS,
        .share_ms = SHARE_MS,
        .wait_ms = WAIT_MS,
    };

    if (limits.starting == 0)
        limits.starting = (unsigned)get_nprocs();
    limits.spare = limits.starting;
    return admission_open(&limits, ret_admission, err);
}

/* Services and authentication, joined by what each asks of the other. */
static int open_auth(struct server *server, struct error *err)
{
    const struct auth_directory directory = identity_directory(&server->services);

    if (auth_create(server->config, &directory, &server->router.auth, err) < 0)
        return -1;
    server->token_maker = identity_token_maker(server->router.auth);
    server->services.token_maker = &server->token_maker;
    return 0;
}

static int describe_api(struct server *server, struct error *err)
{
    char *openapi;

    if (openapi_make(&openapi, err) < 0 || description_init(&server->description, openapi, err) < 0)
        return -1;
    server->router.description = &server->description;
    return 0;
}

static int open_services(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct services *services = &server->services;
    const struct streams_options stream_options = {
        .guard_ms = STREAM_GUARD_MS,
        .offer_ms = STREAM_OFFER_MS,
    };

    transitions_init(&services->transitions);
    atomic_store(&services->config, config);
    if (daemon_node_name(config, services->node_id, err) < 0)
        return -1;
    if (open_admission(config, &services->admission, err) < 0 ||
        id_new(&services->boot_id, err) < 0 ||
        db_pool_create(config->database_url, (size_t)config->database_pool_size, "atoll-server",
                       &services->db, err) < 0 ||
        launcher_client_open(config->state_run_dir, LAUNCHER_TIMEOUT_MS, &services->launcher, err) <
            0 ||
        late_records_start(services->db, &services->late_records, err) < 0 ||
        audit_start(services->db, &services->audit, err) < 0 ||
        idempotency_create(&services->idempotency, err) < 0 ||
        places_create(&services->transfers, err) < 0 || places_create(&services->waits, err) < 0 ||
        places_create(&services->requests, err) < 0 ||
        holdings_create(&services->holdings, err) < 0 ||
        streams_create(&stream_options, &services->streams, err) < 0 ||
        event_follower_start(services, &services->event_follower, err) < 0 ||
        activity_start(services->db, &services->activity, err) < 0 ||
        agents_start(AGENT_IDLE_MS, &services->agents, err) < 0 ||
        attach_start(services, &services->attach, err) < 0 ||
        executors_create(&services->executors, err) < 0 ||
        watches_start(services, &services->watches, err) < 0)
        return -1;
    server->router.services = services;
    server->router.requests_of_tenant = tenant_threads(server->config);
    return open_auth(server, err);
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
            db_check_cluster(services->db, err) == 0 &&
            store_node_register(services->db, services->node_id, &services->boot_id, err) == 0)
            return 0;
        if (err->code != ERR_UNAVAILABLE)
            return -1;
        if (!told)
            log_warn("waiting for PostgreSQL: %s", err->message);
        told = true;
        if (daemon_wait(server->signals, monotonic_usec() + DATABASE_RETRY_USEC) == DAEMON_STOP)
            return 1;
    }
}

static struct edge_limits limits_of(const struct config *config)
{
    return (struct edge_limits){
        .max_body_bytes = (uint64_t)config->server_max_body_bytes,
        .max_transfer_bytes = (uint64_t)config->server_max_transfer_bytes,
        .request_timeout_ms = (uint32_t)config->server_body_timeout_ms,
        .idle_timeout_ms = (uint32_t)config->server_idle_timeout_ms,
    };
}

/* The edge's deadlines are the ones that clients are told of: they pass first. */
static unsigned http_timeout_ms(const struct config *config)
{
    int64_t longest = config->server_body_timeout_ms > config->server_idle_timeout_ms
                          ? config->server_body_timeout_ms
                          : config->server_idle_timeout_ms;

    return (unsigned)longest + HTTP_GRACE_MS;
}

static int start_listening(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    char secret[EDGE_SECRET_SIZE];
    unsigned threads = all_threads(config);
    struct http_options http_options = {
        .threads = threads,
        .request_timeout_ms = http_timeout_ms(config),
        .edge_secret = secret,
        .streams = server->services.streams,
        .handler = router_handle,
        .user = &server->router,
    };
    struct edge_options edge_options = {
        .host = config->server_host,
        .port = (uint16_t)config->server_port,
        .secret = secret,
        .max_connections = (unsigned)config->server_max_connections,
        .upstreams = threads,
        .flow_upstreams = flow_threads(config),
        .max_queued = (unsigned)config->server_max_connections,
        .queue_timeout_ms = QUEUE_TIMEOUT_MS,
        .streams = server->services.streams,
        .heartbeat_ms = STREAM_HEARTBEAT_MS,
        .is_transfer = router_is_transfer,
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

/*
 * SIGHUP. The configuration before is kept until the end: a request's thread may be reading it, and
 * it is a few hundred bytes a reload.
 */
static void server_reload(struct server *server)
{
    _cleanup_free_ struct loaded_config *fresh = calloc(1, sizeof(*fresh));
    struct error err = {0};
    struct edge_limits limits;

    if (!fresh || daemon_load_again(&server->options, server->config, &fresh->config, &err) < 0 ||
        check_config(&fresh->config, &err) < 0) {
        log_error("the configuration stays as it was: %s", fresh ? err.message : "out of memory");
        return;
    }
    adopt_config(server, TAKE_PTR(fresh));
    limits = limits_of(server->config);
    atomic_store(&server->services.config, server->config);
    edge_set_limits(server->edge, &limits);
    auth_reload(server->router.auth, server->config);
    log_info("the configuration is reloaded");
}

static int serve(struct server *server, struct error *err)
{
    int waited;

    if (describe_api(server, err) < 0 || open_services(server, err) < 0)
        return -1;
    waited = register_node(server, err);
    if (waited != 0)
        return waited < 0 ? -1 : 0;
    if (node_reporter_start(&server->services, &server->reporter, err) < 0 ||
        start_listening(server, err) < 0)
        return -1;
    while (daemon_wait(server->signals, DAEMON_NEVER) == DAEMON_RELOAD)
        server_reload(server);
    return 0;
}

static int print_routes(FILE *out, struct error *err)
{
    (void)err;
    router_print_routes(out);
    return 0;
}

static int print_errors(FILE *out, struct error *err)
{
    (void)err;
    router_print_errors(out);
    return 0;
}

static int print_openapi(FILE *out, struct error *err)
{
    _cleanup_free_ char *openapi = NULL;

    if (openapi_make(&openapi, err) < 0)
        return -1;
    (void)fprintf(out, "%s\n", openapi);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct program_report reports[] = {
        {"--print-openapi", "print the OpenAPI description", print_openapi},
        {"--print-routes", "print the routes, as Markdown", print_routes},
        {"--print-errors", "print the errors, as Markdown", print_errors},
    };
    static const struct program program = {
        .name = "atoll-server",
        .purpose = "Serves the API",
        .reports = reports,
        .report_count = ARRAY_SIZE(reports),
    };
    struct server server = {.signals = -1};
    struct error err = {0};
    int result;

    if (program_answer(&program, argc, argv, &result))
        return result;
    log_init(program.name, LOG_INFO, false);
    if (load_config(&server, argc, argv, &err) < 0) {
        log_error("%s", err.message);
        return PROGRAM_MISUSED;
    }
    result = daemon_signals_open(&server.signals, &err);
    if (result == 0)
        result = serve(&server, &err);
    if (result < 0)
        log_error("cannot serve: %s", err.message);
    server_close(&server);
    return result < 0 ? 1 : 0;
}
