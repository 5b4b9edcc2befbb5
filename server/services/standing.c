#include "server/services/standing.h"

#include "lib/db/store_api_key.h"
#include "server/services/executors.h"

#include <stdlib.h>
#include <time.h>

struct standing standing_of(struct services *services, const struct caller *caller)
{
    return (struct standing){
        .services = services,
        .tenant = caller->tenant,
        .has_key = caller->has_key,
        .key = caller->key,
        .has_secret = caller->has_secret,
        .secret = caller->secret,
        .expires_at = caller->expires_at,
    };
}

bool standing_is_good(const struct standing *standing)
{
    struct store_standing now;

    if (time(NULL) >= standing->expires_at)
        return false;
    if (standing->has_secret)
        return executors_is_good(standing->services, &standing->secret);
    if (store_standing_get(standing->services->db, &standing->tenant,
                           standing->has_key ? &standing->key : NULL, &now, NULL) < 0)
        return true;
    return now.tenant_exists && now.tenant_active && now.key_valid;
}

static bool may_go_on(void *user)
{
    return standing_is_good(user);
}

int standing_stream(struct services *services, const struct caller *caller, size_t capacity,
                    const char *heartbeat, struct stream **ret_stream, struct error *err)
{
    struct standing *standing = malloc(sizeof(*standing));

    if (!standing)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a stream");
    if (stream_new(services->streams, capacity, ret_stream, err) < 0) {
        free(standing);
        return -1;
    }
    *standing = standing_of(services, caller);
    stream_set_guard(*ret_stream, may_go_on, free, standing);
    stream_set_heartbeat(*ret_stream, heartbeat);
    return 0;
}
