#include "server/services/transfers.h"

#include "server/services/places.h"

#include <limits.h>

int transfer_enter(struct services *services, const struct caller *caller, uint64_t size,
                   struct transfer_place *ret_place, struct error *err)
{
    unsigned max = (unsigned)atomic_load(&services->config)->server_max_transfers;

    if (size <= TRANSFER_SMALL_MAX)
        return 0;
    if (!places_take(services->transfers, &caller->tenant, max, UINT_MAX))
        return error_set(err, ERR_TOO_MANY,
                         "the tenant moves %u large files at once already (server.max_transfers)",
                         max);
    *ret_place = (struct transfer_place){.places = services->transfers, .tenant = caller->tenant};
    return 0;
}

void transfer_leave(struct transfer_place *place)
{
    if (place->places)
        places_give(place->places, &place->tenant);
    *place = (struct transfer_place){.places = NULL};
}
