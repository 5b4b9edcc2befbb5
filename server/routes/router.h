/*
 * The router: finds a request's route in the tables, authenticates, calls the handler, and turns
 * what it returns into an answer. Routes are data: dispatch and docs/routes.md derive from them.
 */
#ifndef SERVER_ROUTES_ROUTER_H
#define SERVER_ROUTES_ROUTER_H

#include "server/handlers/call.h"

#include <atoll/role.h>

#include <stdio.h>

struct auth;

/* Flags of a route. */
enum {
    ROUTE_STREAMS = 1, /* the answer may have no end: Accept: text/event-stream, or an upgrade */
    ROUTE_SECRET = 2,  /* the answer holds a secret: it is not kept for retries */
    ROUTE_BODY_OPTIONAL = 4, /* `request` may be left out */
    ROUTE_LINES = 16,        /* the answer may be application/x-ndjson */
    ROUTE_ARCHIVES = 256,    /* the answer may be application/zip or application/x-tar too */
    ROUTE_TRANSFER = 64,     /* the body is passed on as it comes, whatever its size */
    ROUTE_SOCKET = 128,      /* a WebSocket: its answer is 101 */
    ROUTE_VERSIONED = 8,     /* answers an ETag; GET minds If-None-Match, a change If-Match */
    ROUTE_LIVE = 512,        /* with ROUTE_VERSIONED, a GET that shows more than its ETag counts:
                                it is answered whole, never with 304 */
    ROUTE_ANY_METHOD = 32,   /* `method` is the usual one; any other does the same */
};

struct route {
    enum http_method method;
    const char *pattern; /* "/v1/sandboxes/{id}": `{…id}` takes an id, a last `{path}` all
                            that follows, any other one segment */
    enum role role;      /* the least that may; ROLE_NONE: public, no token */
    call_handler handler;
    const char *summary;
    /* For the API's description and docs; NULL where there is none. */
    const char *name; /* its operation, e.g. "createSandbox" */
    const struct json_table *query;
    const struct json_table *request;
    const struct json_field *body; /* of a request that is no object, instead of `request` */
    const char *takes;             /* the media type of a request that is not JSON */
    const struct json_table *response;
    const char *media; /* of an answer that is not JSON */
    int status;        /* of success; 0: 200 */
    int other_status;  /* another one with the same answer; 0: none */
    unsigned flags;
    /*
     * Answers a retry with the same Idempotency-Key whose first answer was lost; it may find all
     * done. NULL: what remake_plan finds.
     */
    call_handler remake;
};

/* What a caller shows for the routes that are not public. */
enum route_credential {
    ROUTE_TOKEN,    /* a token or API key of a tenant; a key for retries counts */
    ROUTE_EXECUTOR, /* the secret of the one sandbox that the request is about: `{sandbox}` in the
                       pattern, else X-Routing-Key */
};

struct route_table {
    const struct route *routes;
    size_t count;
    const char *tag; /* what the description calls them; NULL: by the second segment of the path */
    enum route_credential credential;
    bool is_foreign; /* its forms are described elsewhere: the API's description leaves it out */
    /* Answers an error in the form of the dialect; NULL: as a problem. */
    void (*respond_error)(struct http_request *request, const struct error *error);
};

/* The tables, one a dialect. */
extern const struct route_table sandbox_service_routes;
extern const struct route_table v1_routes;
extern const struct route_table project_container_routes;
extern const struct route_table executor_routes;
extern const struct route_table description_routes;
extern const struct route_table *const route_tables[];
extern const size_t route_tables_count;

struct router {
    struct auth *auth;
    struct services *services;
    const struct description *description;
    unsigned requests_of_tenant; /* that may be under way, whatever their credentials */
};

/* An http_handler; `user` is a struct router. */
void router_handle(struct http_request *request, void *user);

/* For edge_options: whether the route of a request has ROUTE_TRANSFER. */
bool router_is_transfer(const char *method, size_t method_size, const char *target,
                        size_t target_size);

/* Writes all routes, and all error codes, as Markdown. */
void router_print_routes(FILE *out);
void router_print_errors(FILE *out);

#endif
