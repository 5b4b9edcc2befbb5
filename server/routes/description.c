#include "server/handlers/description.h"
#include "lib/base/util.h"
#include "server/routes/router.h"

/* What tells of the others. */
static const struct route routes[] = {
    {.method = HTTP_GET,
     .pattern = "/openapi.json",
     .role = ROLE_NONE,
     .handler = handle_openapi,
     .summary = "The API's description in OpenAPI 3.1",
     .name = "getOpenApi",
     .media = "application/json"},
    {.method = HTTP_GET,
     .pattern = "/docs",
     .role = ROLE_NONE,
     .handler = handle_docs,
     .summary = "The same as a page to read",
     .name = "getDocs",
     .media = DOCS_MEDIA_TYPE},
};

const struct route_table description_routes = {
    .routes = routes, .count = ARRAY_SIZE(routes), .tag = "description"};
