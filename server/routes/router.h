/*
 * The router: finds a request's route in the tables, authenticates, calls the handler, and turns
 * what it returns into an answer. Routes are data: dispatch and docs/routes.md derive from them.
 */
#ifndef SERVER_ROUTES_ROUTER_H
#define SERVER_ROUTES_ROUTER_H

#include "server/handlers/call.h"

#include <stdio.h>

struct auth;

enum route_access {
    ROUTE_PUBLIC, /* no token */
    ROUTE_TENANT, /* any valid token; everything is scoped to its tenant */
};

struct route {
    enum http_method method;
    const char *pattern; /* "/sandbox/{id}/execute"; `{id}` takes an id */
    enum route_access access;
    call_handler handler;
    const char *summary;
};

struct route_table {
    const struct route *routes;
    size_t count;
};

/* The tables, one a dialect. */
extern const struct route_table sandbox_service_routes;

struct router {
    struct auth *auth;
    struct services *services;
};

/* An http_handler; `user` is a struct router. */
void router_handle(struct http_request *request, void *user);

/* Writes all routes, and all error codes, as Markdown. */
void router_print_routes(FILE *out);
void router_print_errors(FILE *out);

#endif
