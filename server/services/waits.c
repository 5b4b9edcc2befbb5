#include "server/services/waits.h"

#include "server/services/places.h"

int wait_enter(struct services *services, const struct caller *caller, struct wait_place *ret_place,
               struct error *err)
{
    if (!places_take(services->waits, &caller->tenant, WAITS_OF_TENANT, WAITS_MAX))
        return error_set(
            err, ERR_TOO_MANY,
            "too many requests wait for sandboxes already, of %d a tenant; processes can be "
            "followed instead",
            WAITS_OF_TENANT);
    *ret_place = (struct wait_place){.places = services->waits, .tenant = caller->tenant};
    return 0;
}

void wait_leave(struct wait_place *place)
{
    if (place->places)
        places_give(place->places, &place->tenant);
    *place = (struct wait_place){.places = NULL};
}
