#include "server/services/places.h"

#include <pthread.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

/* Tenants with a place: never more than there are request threads. */
struct places {
    pthread_mutex_t lock;
    struct {
        struct id tenant;
        unsigned count;
    } * items;
    size_t count;
    size_t capacity;
    unsigned taken; /* by all */
};

int places_create(struct places **ret_places, struct error *err)
{
    struct places *places = calloc(1, sizeof(*places));

    if (!places)
        return error_no_memory(err);
    (void)pthread_mutex_init(&places->lock, NULL);
    *ret_places = places;
    return 0;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    (void)pthread_mutex_destroy(&places->lock);
    free(places->items);
    free(places);
}

/* The index of the tenant, `count` when it has none. With the lock, as all below. */
static size_t find(const struct places *places, const struct id *tenant)
{
    size_t at = 0;

    while (at < places->count && !id_equal(&places->items[at].tenant, tenant))
        at++;
    return at;
}

static bool add(struct places *places, const struct id *tenant)
{
    size_t capacity = places->capacity ? places->capacity * 2 : FIRST_CAPACITY;

    if (places->count == places->capacity) {
        void *items = reallocarray(places->items, capacity, sizeof(*places->items));

        if (!items)
            return false;
        places->items = items;
        places->capacity = capacity;
    }
    places->items[places->count].tenant = *tenant;
    places->items[places->count++].count = 0;
    return true;
}

static bool fits(unsigned has, unsigned count, unsigned most)
{
    return has <= most && count <= most - has;
}

static bool take(struct places *places, const struct id *tenant, unsigned count, unsigned most,
                 unsigned most_of_all)
{
    size_t at = find(places, tenant);
    unsigned has = at < places->count ? places->items[at].count : 0;

    if (!fits(has, count, most) || !fits(places->taken, count, most_of_all) ||
        (at == places->count && !add(places, tenant)))
        return false;
    places->items[at].count += count;
    places->taken += count;
    return true;
}

bool places_take_many(struct places *places, const struct id *tenant, unsigned count, unsigned most,
                      unsigned most_of_all)
{
    bool taken;

    (void)pthread_mutex_lock(&places->lock);
    taken = take(places, tenant, count, most, most_of_all);
    (void)pthread_mutex_unlock(&places->lock);
    return taken;
}

void places_give_many(struct places *places, const struct id *tenant, unsigned count)
{
    size_t at;

    (void)pthread_mutex_lock(&places->lock);
    at = find(places, tenant);
    places->taken -= count;
    places->items[at].count -= count;
    if (places->items[at].count == 0)
        places->items[at] = places->items[--places->count];
    (void)pthread_mutex_unlock(&places->lock);
}

bool places_take(struct places *places, const struct id *tenant, unsigned most,
                 unsigned most_of_all)
{
    return places_take_many(places, tenant, 1, most, most_of_all);
}

void places_give(struct places *places, const struct id *tenant)
{
    places_give_many(places, tenant, 1);
}
