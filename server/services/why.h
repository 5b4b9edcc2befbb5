/* Why a sandbox is as it is: GET /v1/sandboxes/{id}/why. */
#ifndef SERVER_SERVICES_WHY_H
#define SERVER_SERVICES_WHY_H

#include "lib/db/store_why.h"
#include "server/services/services.h"

/* The caller frees it. */
int why_get(struct services *services, const struct caller *caller, const struct id *sandbox,
            struct store_why *ret_why, struct error *err);

#endif
