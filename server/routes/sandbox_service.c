#include "lib/base/util.h"
#include "server/handlers/health.h"
#include "server/handlers/sandbox.h"
#include "server/routes/router.h"

/* The sandbox-service dialect. */
static const struct route routes[] = {
    {.method = HTTP_GET,
     .pattern = "/health",
     .role = ROLE_NONE,
     .handler = handle_health,
     .summary = "Whether the service can take work"},
    {.method = HTTP_POST,
     .pattern = "/sandbox",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_create,
     .summary = "Store a sandbox's definition",
     .flags = ROUTE_WHOLE_TENANT},
    {.method = HTTP_GET,
     .pattern = "/sandbox/{id}",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_get,
     .summary = "Show a sandbox",
     .flags = ROUTE_WHOLE_TENANT},
    {.method = HTTP_DELETE,
     .pattern = "/sandbox/{id}",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_delete,
     .summary = "Delete a sandbox",
     .flags = ROUTE_WHOLE_TENANT},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/execute",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_execute,
     .summary = "Run it in a fresh environment and wait for the result",
     .flags = ROUTE_WHOLE_TENANT},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/files",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_files,
     .summary = "Add files to its definition, or replace them",
     .flags = ROUTE_WHOLE_TENANT},
    {.method = HTTP_GET,
     .pattern = "/sandboxes",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_list,
     .summary = "List the sandboxes",
     .flags = ROUTE_WHOLE_TENANT},
};

const struct route_table sandbox_service_routes = {routes, ARRAY_SIZE(routes)};
