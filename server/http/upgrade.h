/* The handshake of a WebSocket (RFC 6455 section 4.2), after the edge has seen that one is wanted.
 */
#ifndef SERVER_HTTP_UPGRADE_H
#define SERVER_HTTP_UPGRADE_H

#include "server/http.h"

/* The one subprotocol that is chosen, where the client offers it. */
#define UPGRADE_PROTOCOL "atoll.v1"

/*
 * Checks the request before anything is done for it. ERR_UPGRADE_REQUIRED when it asks for no
 * WebSocket, or for another version than 13; ERR_FORBIDDEN when it comes from a page (it has an
 * Origin) that is none of `origins` (the form of cors_has_origin): a page may open a WebSocket to
 * anywhere, and CORS does not hold it back.
 */
int upgrade_check(struct http_request *request, const char *origins, struct error *err);

/* Answers the checked request: from here on the connection carries the stream's bytes. */
int upgrade_respond(struct http_request *request, struct stream *stream, struct error *err);

#endif
