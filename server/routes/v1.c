#include "lib/base/util.h"
#include "server/handlers/health.h"
#include "server/routes/router.h"

/* The canonical API. */
static const struct route routes[] = {
    {.method = HTTP_GET,
     .pattern = "/v1/health",
     .role = ROLE_NONE,
     .handler = handle_health,
     .summary = "Whether the service can take work",
     .name = "getHealth"},
};

const struct route_table v1_routes = {routes, ARRAY_SIZE(routes)};
