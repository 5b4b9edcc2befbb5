#include "server/routes/router.h"

#include "lib/base/util.h"
#include "server/auth/auth.h"
#include "server/http/accept.h"
#include "server/http/cors.h"
#include "server/routes/remake.h"

#include <atoll/log.h>
#include <string.h>

/* What a client should wait before it tries again: admission places and reconnects are quick. */
enum { RETRY_AFTER_SECONDS = 1 };

/* What a path holds where its pattern has a placeholder. */
struct placeholders {
    struct id ids[CALL_IDS_MAX];
    size_t id_count;
    const char *name;
    size_t rest; /* index of the first segment that `{path}` stands for; 0: there is none */
};

/* Takes the segment of a placeholder: `{name}`, or one whose name ends in "id". */
static bool take_placeholder(const char *pattern, size_t length, const char *segment,
                             struct placeholders *taken)
{
    if (memcmp(pattern + length - 3, "id}", 3) != 0) {
        taken->name = segment;
        return true;
    }
    return taken->id_count < CALL_IDS_MAX && id_parse(segment, &taken->ids[taken->id_count++]);
}

/*
 * Compares a segment of a pattern, up to its slash, with one of the request; returns what follows
 * it, NULL where they differ. Every route is asked for every request: most differ at once.
 */
static const char *match_segment(const char *pattern, const char *segment,
                                 struct placeholders *taken)
{
    if (*pattern == '{') {
        const char *end = strchr(pattern, '}') + 1;

        return take_placeholder(pattern, (size_t)(end - pattern), segment, taken) ? end : NULL;
    }
    while (*segment != '\0' && *segment == *pattern) {
        segment++;
        pattern++;
    }
    return *segment == '\0' && (*pattern == '/' || *pattern == '\0') ? pattern : NULL;
}

static bool pattern_matches(const char *pattern, const struct http_request *request,
                            struct placeholders *ret_taken)
{
    size_t count = http_request_segment_count(request);
    struct placeholders taken = {.id_count = 0};
    size_t i = 0;

    while (*pattern == '/') {
        const char *segment = http_request_segment(request, i++);

        if (segment && strcmp(pattern, "/{path}") == 0) {
            taken.rest = i - 1;
            *ret_taken = taken;
            return true;
        }
        pattern = segment ? match_segment(pattern + 1, segment, &taken) : NULL;
        if (!pattern)
            return false;
    }
    if (i != count)
        return false;
    *ret_taken = taken;
    return true;
}

/* What a lookup found: the route, or the methods that the path has. */
struct match {
    const struct route_table *table; /* that has the path; NULL: none */
    const struct route *route;
    struct placeholders taken;
    char allowed[64]; /* "GET, HEAD", for Allow; "" when no route has the path */
};

static void allow(struct match *match, enum http_method method)
{
    size_t used = strlen(match->allowed);

    (void)snprintf(match->allowed + used, sizeof(match->allowed) - used, "%s%s%s", used ? ", " : "",
                   http_method_name(method), method == HTTP_GET ? ", HEAD" : "");
}

static bool takes_method(const struct route *route, enum http_method method)
{
    return route->method == method || (route->flags & ROUTE_ANY_METHOD);
}

static void find_route(const struct http_request *request, struct match *match)
{
    enum http_method method = http_request_method(request);

    if (method == HTTP_HEAD)
        method = HTTP_GET; /* http.c leaves the body out */
    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const struct route *route = &route_tables[t]->routes[i];
            struct placeholders taken;

            if (!pattern_matches(route->pattern, request, &taken))
                continue;
            allow(match, route->method);
            if (!match->table) {
                match->table = route_tables[t];
                match->taken = taken;
            }
            if (takes_method(route, method) && !match->route) {
                match->route = route;
                match->taken = taken;
            }
        }
    }
}

/* Whether a path, as it was sent, is of the pattern; one that is written otherwise is not. */
static bool path_looks_like(const char *pattern, const char *path, size_t size)
{
    const char *at = path;
    const char *end = path + size;

    while (*pattern != '\0' && at < end) {
        if (*pattern == '{') {
            pattern = strchr(pattern, '}') + 1;
            while (at < end && *at != '/')
                at++;
        } else if (*pattern++ != *at++) {
            return false;
        }
    }
    return *pattern == '\0' && at == end;
}

bool router_is_transfer(const char *method, size_t method_size, const char *target,
                        size_t target_size)
{
    const char *query = memchr(target, '?', target_size);
    size_t path_size = query ? (size_t)(query - target) : target_size;

    for (size_t t = 0; t < route_tables_count; t++) {
        for (size_t i = 0; i < route_tables[t]->count; i++) {
            const struct route *route = &route_tables[t]->routes[i];
            const char *name = http_method_name(route->method);

            if (route->flags & ROUTE_TRANSFER && strlen(name) == method_size &&
                memcmp(name, method, method_size) == 0 &&
                path_looks_like(route->pattern, target, path_size))
                return true;
        }
    }
    return false;
}

/* Answers a request that has no route; returns 0 when it did (OPTIONS). */
static int respond_unrouted(struct http_request *request, const struct match *match,
                            struct error *err)
{
    if (match->allowed[0] == '\0')
        return error_set(err, ERR_NOT_FOUND, "there is no such resource");
    http_response_header(request, "Allow", match->allowed);
    if (http_request_method(request) == HTTP_OPTIONS) {
        http_respond_empty(request, 204);
        return 0;
    }
    return error_set(err, ERR_METHOD_NOT_ALLOWED, "the resource takes %s", match->allowed);
}

static void identify_log(const struct auth_identity *identity, const struct match *match,
                         const char *request_id)
{
    char tenant[ID_TEXT_SIZE];
    char sandbox[ID_TEXT_SIZE];

    id_format(&identity->tenant, tenant);
    id_format(&match->taken.ids[0], sandbox);
    log_identity(tenant, match->taken.id_count > 0 ? sandbox : NULL, request_id);
}

/* A request on its way: its route, what it calls, and its idempotency key. */
struct passage {
    struct match match;
    struct call call;
    struct auth_identity identity;
    bool has_secret; /* of a sandbox, of which the next is */
    struct caller_secret secret;
    struct idempotent_plan plan;
    struct attempt attempt;
};

static int not_acceptable(const struct route *route, const char *media, struct error *err)
{
    return error_set(err, ERR_NOT_ACCEPTABLE, "the answer is %s%s%s%s", media,
                     route->flags & ROUTE_STREAMS ? ", text/event-stream" : "",
                     route->flags & ROUTE_LINES ? ", application/x-ndjson" : "",
                     route->flags & ROUTE_ARCHIVES ? ", application/zip, application/x-tar" : "");
}

/* Errors are problem+json whatever Accept says: it would be of no use to hide them. */
static int check_accept(const struct http_request *request, const struct route *route,
                        struct error *err)
{
    const char *accept = http_request_header(request, "Accept");
    const char *media = route->media ? route->media : "application/json";

    if ((!route->response && !route->media) || http_request_header_count(request, "Accept") > 1 ||
        accept_allows(accept, media) ||
        (route->flags & ROUTE_STREAMS && accept_allows(accept, "text/event-stream")) ||
        (route->flags & ROUTE_LINES && accept_allows(accept, "application/x-ndjson")) ||
        (route->flags & ROUTE_ARCHIVES &&
         (accept_allows(accept, "application/zip") || accept_allows(accept, "application/x-tar"))))
        return 0;
    return not_acceptable(route, media, err);
}

/*
 * A parameter that nobody reads is a mistake of the caller's, as `stop?timeout=0`. Handlers of
 * routes that have some see to theirs; public routes take what a probe adds, and executors know no
 * tables.
 */
static int check_query(struct call *call, const struct match *match, struct error *err)
{
    const struct route *route = match->route;

    if (route->query || route->role == ROLE_NONE || match->table->credential != ROUTE_TOKEN)
        return 0;
    return call_no_query(call, err);
}

/* Calls the route's handler, once for all requests with the same key. */
static int run_route(struct passage *passage, const struct route *route, struct error *err)
{
    bool has_key = false;

    if (route->role == ROLE_NONE || passage->match.table->credential != ROUTE_TOKEN)
        return route->handler(&passage->call, err);
    if (idempotent_wanted(&passage->call, &has_key, err) < 0)
        return -1;
    if (!has_key || route->flags & ROUTE_TRANSFER)
        return route->handler(&passage->call, err);
    passage->plan = remake_plan(route_tables, route_tables_count, route);
    return idempotent_run(&passage->call, &passage->plan, &passage->attempt, err);
}

/* The sandbox that a request with its secret is about. */
static bool find_sandbox(const struct http_request *request, struct match *match)
{
    const char *text = match->taken.name;

    if (!text && http_request_header_count(request, "X-Routing-Key") == 1)
        text = http_request_header(request, "X-Routing-Key");
    if (!text || !id_parse(text, &match->taken.ids[0]))
        return false;
    match->taken.id_count = 1;
    return true;
}

static int authenticate(struct passage *passage, const struct router *router, struct error *err)
{
    struct http_request *request = passage->call.request;
    struct match *match = &passage->match;
    const struct id *sandbox = &match->taken.ids[0];
    bool is_named;

    if (!match->table || match->table->credential == ROUTE_TOKEN)
        return auth_authenticate(router->auth, request, &passage->identity, err);
    is_named = find_sandbox(request, match);
    if (auth_authenticate_executor(router->auth, request, is_named ? sandbox : NULL,
                                   &passage->identity, passage->secret.hash, err) < 0)
        return -1;
    passage->has_secret = true;
    passage->secret.sandbox = *sandbox;
    return 0;
}

static int dispatch(struct passage *passage, const struct router *router, struct error *err)
{
    struct match *match = &passage->match;
    struct call *call = &passage->call;
    struct http_request *request = call->request;
    struct auth_identity *identity = &passage->identity;

    log_identity(NULL, NULL, http_request_id(request));
    find_route(request, match);
    /* Without a token a path that is not there answers as one that is. */
    if (!match->route || match->route->role != ROLE_NONE) {
        if (authenticate(passage, router, err) < 0)
            return -1;
        identify_log(identity, match, http_request_id(request));
    }
    if (!match->route)
        return respond_unrouted(request, match, err);
    call->caller = (struct caller){
        .tenant = identity->tenant,
        .has_project = identity->has_project,
        .project = identity->project,
        .has_key = identity->has_key,
        .is_key = identity->is_key,
        .key = identity->key,
        .has_secret = passage->has_secret,
        .secret = passage->secret,
        .role = identity->role,
        .subject = identity->subject,
        .expires_at = identity->expires_at,
        .request_id = http_request_id(request),
        .client = http_request_client(request),
    };
    if (match->route->role != ROLE_NONE &&
        call_take_place(call, router->requests_of_tenant, err) < 0)
        return -1;
    if (call->caller.role < match->route->role)
        return auth_refuse_role(router->auth, request, identity, err);
    if (check_accept(request, match->route, err) < 0 || check_query(call, match, err) < 0)
        return -1;
    call->id = match->taken.ids[0];
    memcpy(call->ids, match->taken.ids, sizeof(call->ids));
    call->name = match->taken.name;
    call->rest = match->taken.rest;
    return run_route(passage, match->route, err);
}

static void add_retry_after(struct http_request *request, const struct error *err)
{
    char seconds[16];

    (void)snprintf(seconds, sizeof(seconds), "%u",
                   err->retry_after_s > 0 ? err->retry_after_s : RETRY_AFTER_SECONDS);
    http_response_header(request, "Retry-After", seconds);
}

static void respond_error(const struct match *match, struct http_request *request,
                          const struct error *error)
{
    if (match->table && match->table->respond_error)
        match->table->respond_error(request, error);
    else
        http_respond_problem(request, error);
}

void router_handle(struct http_request *request, void *user)
{
    const struct router *router = user;
    struct passage passage = {
        .call = {.request = request,
                 .services = router->services,
                 .description = router->description},
    };
    struct error err = {0};
    int64_t start = monotonic_usec();

    if (cors_handle(request, atomic_load(&router->services->config)->server_cors_origins))
        return;
    if (dispatch(&passage, router, &err) < 0) {
        /* A caller's mistake is the caller's to see; everything else is ours, and logged once. */
        if (error_code_status(err.code) >= 500)
            log_error("%s %s: %s: %s", http_method_name(http_request_method(request)),
                      http_request_raw_path(request), error_code_name(err.code), err.message);
        if (err.code == ERR_INTERNAL)
            (void)error_set(&err, ERR_INTERNAL, "the service failed; its log has the request id");
        if (error_code_status(err.code) == 429 || error_code_status(err.code) == 503)
            add_retry_after(request, &err);
        respond_error(&passage.match, request, &err);
    }
    idempotent_end(&passage.call, &passage.plan, &passage.attempt);
    call_leave_place(&passage.call);
    log_debug("%s %s %d %lld us", http_method_name(http_request_method(request)),
              http_request_raw_path(request), http_response_status(request),
              (long long)(monotonic_usec() - start));
    log_identity(NULL, NULL, NULL);
}
