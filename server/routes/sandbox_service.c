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
     .status = 201,
     .remake = handle_sandbox_get,
     .summary = "Store a sandbox's definition"},
    {.method = HTTP_GET,
     .pattern = "/sandbox/{id}",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_get,
     .summary = "Show a sandbox"},
    {.method = HTTP_DELETE,
     .pattern = "/sandbox/{id}",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_delete,
     .remake = handle_sandbox_delete_rest,
     .summary = "Delete a sandbox"},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/execute",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_execute,
     .remake = handle_sandbox_execute, /* it leaves nothing behind */
     .summary = "Run it in a fresh environment and wait for the result"},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/files",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_files,
     .remake = handle_sandbox_files,
     .summary = "Add files to its definition, or replace them"},
    {.method = HTTP_GET,
     .pattern = "/sandboxes",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_list,
     .summary = "List the sandboxes"},
};

const struct route_table sandbox_service_routes = {routes, ARRAY_SIZE(routes)};
