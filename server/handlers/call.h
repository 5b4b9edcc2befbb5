/*
 * What a handler gets: a routed, authenticated request. A handler answers exactly once and returns
 * 0, or does not answer and returns -1 with an error, which the router turns into a problem.
 */
#ifndef SERVER_HANDLERS_CALL_H
#define SERVER_HANDLERS_CALL_H

#include "server/http.h"
#include "server/services/services.h"

enum { CALL_IDS_MAX = 2 };

struct description;

struct call {
    struct http_request *request;
    struct services *services;
    const struct description *description; /* of the API (server/handlers/description.h) */
    struct caller caller;
    struct id id;                /* of the first id in the route's pattern */
    struct id ids[CALL_IDS_MAX]; /* of all of them, in order */
    const char *name;            /* of `{name}` in the pattern; belongs to the request */
    size_t rest;                 /* the first segment of `{path}` in the pattern */
    bool has_place;              /* among the requests of its tenant */
};

typedef int (*call_handler)(struct call *call, struct error *err);

/*
 * Counts the call among those that its tenant has under way, until call_leave_place: ERR_TOO_MANY
 * when these are `most` already. The edge knows credentials only, of which a tenant makes as many
 * as it likes.
 */
int call_take_place(struct call *call, unsigned most, struct error *err);
void call_leave_place(struct call *call);

/*
 * Decodes the query's parameters by the table into `target`: STRING (its text is kept in
 * `storage`), INTEGER, BOOL ("true", "false"), ID and TIME. A parameter that the table does not
 * have, or that comes twice, is refused.
 */
struct call_query_storage {
    char text[8192];
    size_t used;
};
int call_query(struct call *call, const struct json_table *table,
               struct call_query_storage *storage, void *target, struct error *err);

/* Refuses every parameter of the query: of a route that has none. */
int call_no_query(struct call *call, struct error *err);

/* Decodes a JSON object body by the table; *ret_body owns what `target` then points into. */
int call_body(struct call *call, const struct json_table *table, cJSON **ret_body, void *target,
              struct error *err);

/*
 * Reads and parses the body: ERR_UNSUPPORTED_MEDIA_TYPE unless it is application/json,
 * ERR_TOO_LARGE over server.max_body_bytes. An absent body gives NULL when `optional`. The result
 * is the caller's.
 */
int call_json_body(struct call *call, bool optional, cJSON **ret_body, struct error *err);

/* Answers with `body` and frees it; NULL (memory was short) is an error. */
int call_respond_json(struct call *call, int status, cJSON *body, struct error *err);

/* Answers with JSON text; one that failed is an error. */
int call_respond_text(struct call *call, int status, const struct json_text *text,
                      struct error *err);

#endif
