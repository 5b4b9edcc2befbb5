/*
 * Cross-origin requests (Fetch, section 3.2): pages of the configured origins may call the API, no
 * others. Callers show a token in a field of their own, so that no credentials of a browser's are
 * involved, and none are ever allowed.
 */
#ifndef SERVER_HTTP_CORS_H
#define SERVER_HTTP_CORS_H

#include "server/http.h"

#include <atoll/error.h>
#include <stdbool.h>

/* Refuses a list in which something is not an origin: scheme://host, with an optional port. */
int cors_check_origins(const char *origins, struct error *err);

/* True when the list, words separated by spaces or commas, has exactly this origin. */
bool cors_has_origin(const char *origins, const char *origin);

/*
 * Adds to the answer to come what lets a page of the request's origin read it. Returns true when
 * the request is a preflight of such a page, which it has then answered: it carries no token.
 */
bool cors_handle(struct http_request *request, const char *origins);

#endif
