/*
 * GET /openapi.json and GET /docs: the API's description, made once at start-up.
 */
#ifndef SERVER_HANDLERS_DESCRIPTION_H
#define SERVER_HANDLERS_DESCRIPTION_H

#include "server/handlers/call.h"

#define DOCS_MEDIA_TYPE "text/html; charset=utf-8"

/* The page's parts, from server/docs/, embedded by the build. */
extern const char docs_style[];
extern const char docs_script[];
extern const char docs_body[];

/* The texts that are answered with; owned by main. */
struct description {
    char *openapi;
    size_t openapi_size;
    char *page;
    size_t page_size;
    char *page_policy; /* its Content-Security-Policy */
};

/* Takes over the description's JSON text, and makes the page. On failure, too, call the next. */
int description_init(struct description *description, char *openapi, struct error *err);
void description_done(struct description *description);

int handle_openapi(struct call *call, struct error *err);
int handle_docs(struct call *call, struct error *err);

#endif
