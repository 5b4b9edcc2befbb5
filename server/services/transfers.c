#include "server/services/transfers.h"

#include <pthread.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

/* Tenants with a transfer under way: never more than there are request threads. */
struct transfers {
    pthread_mutex_t lock;
    struct {
        struct id tenant;
        unsigned count;
    } * items;
    size_t count;
    size_t capacity;
};

int transfers_create(struct transfers **ret_transfers, struct error *err)
{
    struct transfers *transfers = calloc(1, sizeof(*transfers));

    if (!transfers)
        return error_set(err, ERR_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&transfers->lock, NULL);
    *ret_transfers = transfers;
    return 0;
}

void transfers_free(struct transfers *transfers)
{
    if (!transfers)
        return;
    (void)pthread_mutex_destroy(&transfers->lock);
    free(transfers->items);
    free(transfers);
}

/* The index of the tenant, `count` when it has none. With the lock, as all below. */
static size_t find(const struct transfers *transfers, const struct id *tenant)
{
    size_t at = 0;

    while (at < transfers->count && !id_equal(&transfers->items[at].tenant, tenant))
        at++;
    return at;
}

static bool add(struct transfers *transfers, const struct id *tenant)
{
    size_t capacity = transfers->capacity ? transfers->capacity * 2 : FIRST_CAPACITY;

    if (transfers->count == transfers->capacity) {
        void *items = reallocarray(transfers->items, capacity, sizeof(*transfers->items));

        if (!items)
            return false;
        transfers->items = items;
        transfers->capacity = capacity;
    }
    transfers->items[transfers->count].tenant = *tenant;
    transfers->items[transfers->count++].count = 0;
    return true;
}

static int take(struct transfers *transfers, const struct id *tenant, unsigned max,
                struct error *err)
{
    size_t at = find(transfers, tenant);

    if (at == transfers->count && !add(transfers, tenant))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the transfer");
    if (transfers->items[at].count >= max)
        return error_set(err, ERR_TOO_MANY,
                         "the tenant moves %u large files at once already (server.max_transfers)",
                         max);
    transfers->items[at].count++;
    return 0;
}

int transfer_enter(struct services *services, const struct caller *caller, uint64_t size,
                   struct transfer_place *ret_place, struct error *err)
{
    unsigned max = (unsigned)atomic_load(&services->config)->server_max_transfers;
    struct transfers *transfers = services->transfers;
    int result;

    if (size <= TRANSFER_SMALL_MAX)
        return 0;
    (void)pthread_mutex_lock(&transfers->lock);
    result = take(transfers, &caller->tenant, max, err);
    (void)pthread_mutex_unlock(&transfers->lock);
    if (result == 0)
        *ret_place = (struct transfer_place){.transfers = transfers, .tenant = caller->tenant};
    return result;
}

void transfer_leave(struct transfer_place *place)
{
    struct transfers *transfers = place->transfers;
    size_t at;

    if (!transfers)
        return;
    (void)pthread_mutex_lock(&transfers->lock);
    at = find(transfers, &place->tenant);
    if (--transfers->items[at].count == 0)
        transfers->items[at] = transfers->items[--transfers->count];
    (void)pthread_mutex_unlock(&transfers->lock);
    *place = (struct transfer_place){.transfers = NULL};
}
