/*
 * What a handler gets: a routed, authenticated request. A handler answers exactly once and returns
 * 0, or does not answer and returns -1 with an error, which the router turns into a problem.
 */
#ifndef SERVER_HANDLERS_CALL_H
#define SERVER_HANDLERS_CALL_H

#include "server/http.h"
#include "server/services/services.h"

struct call {
    struct http_request *request;
    struct services *services;
    struct caller caller;
    struct id id; /* of `{id}` in the route's pattern */
};

typedef int (*call_handler)(struct call *call, struct error *err);

/*
 * Reads and parses the body: ERR_UNSUPPORTED_MEDIA_TYPE unless it is application/json,
 * ERR_TOO_LARGE over server.max_body_bytes. An absent body gives NULL when `optional`. The result
 * is the caller's.
 */
int call_json_body(struct call *call, bool optional, cJSON **ret_body, struct error *err);

/* Answers with `body` and frees it; NULL (memory was short) is an error. */
int call_respond_json(struct call *call, int status, cJSON *body, struct error *err);

#endif
