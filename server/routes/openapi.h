/*
 * The API's description in OpenAPI 3.1, derived from the route tables that requests are dispatched
 * by and the tables that bodies are decoded and encoded by. Nothing is described beside them.
 */
#ifndef SERVER_ROUTES_OPENAPI_H
#define SERVER_ROUTES_OPENAPI_H

#include <atoll/error.h>

/* Makes the document as JSON text, the caller's to free. Fails when two tables share a name. */
int openapi_make(char **ret_text, struct error *err);

#endif
