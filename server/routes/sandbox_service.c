#include "lib/base/util.h"
#include "server/handlers/health.h"
#include "server/handlers/sandbox.h"
#include "server/routes/router.h"

static const struct route routes[] = {
    {HTTP_GET, "/health", ROUTE_PUBLIC, handle_health, "Whether the service can take work"},
    {HTTP_POST, "/sandbox", ROUTE_TENANT, handle_sandbox_create, "Store a sandbox's definition"},
    {HTTP_GET, "/sandbox/{id}", ROUTE_TENANT, handle_sandbox_get, "Show a sandbox"},
    {HTTP_DELETE, "/sandbox/{id}", ROUTE_TENANT, handle_sandbox_delete, "Delete a sandbox"},
    {HTTP_POST, "/sandbox/{id}/execute", ROUTE_TENANT, handle_sandbox_execute,
     "Run it in a fresh environment and wait for the result"},
    {HTTP_POST, "/sandbox/{id}/files", ROUTE_TENANT, handle_sandbox_files,
     "Add files to its definition, or replace them"},
    {HTTP_GET, "/sandboxes", ROUTE_TENANT, handle_sandbox_list, "List the sandboxes"},
};

const struct route_table sandbox_service_routes = {routes, ARRAY_SIZE(routes)};
