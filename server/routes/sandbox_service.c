#include "lib/base/util.h"
#include "server/handlers/execution_view.h"
#include "server/handlers/health.h"
#include "server/handlers/sandbox.h"
#include "server/handlers/sandbox_request.h"
#include "server/handlers/sandbox_view.h"
#include "server/routes/router.h"

/* The sandbox-service dialect. */
static const struct route routes[] = {
    {.method = HTTP_GET,
     .pattern = "/health",
     .role = ROLE_NONE,
     .handler = handle_health,
     .summary = "Whether the service can take work",
     .name = "getServiceHealth",
     .response = &health_table,
     .other_status = 503},
    {.method = HTTP_POST,
     .pattern = "/sandbox",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_create,
     .remake = handle_sandbox_get,
     .summary = "Store a sandbox's definition",
     .name = "createStoredSandbox",
     .request = &sandbox_create_table,
     .response = &sandbox_table,
     .status = 201},
    {.method = HTTP_GET,
     .pattern = "/sandbox/{id}",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_get,
     .summary = "Show a sandbox",
     .name = "getStoredSandbox",
     .response = &sandbox_table},
    {.method = HTTP_DELETE,
     .pattern = "/sandbox/{id}",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_delete,
     .remake = handle_sandbox_delete_rest,
     .summary = "Delete a sandbox",
     .name = "deleteStoredSandbox",
     .response = &sandbox_deleted_table},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/execute",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_execute,
     .remake = handle_sandbox_execute, /* it leaves nothing behind */
     .summary = "Run it in a fresh environment and wait for the result",
     .name = "executeStoredSandbox",
     .request = &sandbox_execute_table,
     .response = &execution_table,
     .flags = ROUTE_BODY_OPTIONAL},
    {.method = HTTP_POST,
     .pattern = "/sandbox/{id}/files",
     .role = ROLE_MEMBER,
     .handler = handle_sandbox_files,
     .remake = handle_sandbox_files,
     .summary = "Add files to its definition, or replace them",
     .name = "addStoredSandboxFiles",
     .body = &sandbox_files_body,
     .response = &sandbox_files_written_table},
    {.method = HTTP_GET,
     .pattern = "/sandboxes",
     .role = ROLE_VIEWER,
     .handler = handle_sandbox_list,
     .summary = "List the sandboxes",
     .name = "listStoredSandboxes",
     .query = &sandbox_list_query,
     .response = &sandbox_list_table},
};

const struct route_table sandbox_service_routes = {
    .routes = routes, .count = ARRAY_SIZE(routes), .tag = "sandbox service"};
