#include "lib/base/util.h"
#include "server/routes/router.h"

const struct route_table *const route_tables[] = {
    &v1_routes,       &sandbox_service_routes, &project_container_routes,
    &executor_routes, &description_routes,
};
const size_t route_tables_count = ARRAY_SIZE(route_tables);
