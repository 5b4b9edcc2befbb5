#include "server/services/health.h"

#include "lib/db/db.h"
#include "lib/runtime/launcher_client.h"

struct health health_check(struct services *services)
{
    uint64_t features;

    return (struct health){
        .database = db_ping(services->db, NULL) == 0,
        .launcher = launcher_client_features(services->launcher, &features, NULL) == 0,
    };
}
