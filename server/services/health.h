/* What this server needs in order to take a create, asked now. */
#ifndef SERVER_SERVICES_HEALTH_H
#define SERVER_SERVICES_HEALTH_H

#include "server/services/services.h"

#include <stdbool.h>

struct health {
    bool database;
    bool launcher;
};

struct health health_check(struct services *services);

#endif
