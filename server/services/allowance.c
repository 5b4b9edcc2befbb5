#include "server/services/allowance.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define HOUR_USEC (INT64_C(3600) * 1000000)

enum { TENANTS_MAX = 1024 }; /* a further one takes the place of another, whose hour begins anew */

struct taken {
    struct id tenant;
    int64_t since_usec;
    uint64_t bytes;
};

struct allowance {
    pthread_mutex_t lock;
    size_t count;
    size_t next; /* whose place the next tenant takes when all are taken */
    struct taken tenants[TENANTS_MAX];
};

int allowance_create(struct allowance **ret_allowance, struct error *err)
{
    struct allowance *allowance = calloc(1, sizeof(*allowance));

    if (!allowance)
        return error_set(err, ERR_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&allowance->lock, NULL);
    *ret_allowance = allowance;
    return 0;
}

void allowance_free(struct allowance *allowance)
{
    if (!allowance)
        return;
    (void)pthread_mutex_destroy(&allowance->lock);
    free(allowance);
}

/* With the lock, as below. A tenant that is new here has taken nothing. */
static struct taken *find(struct allowance *allowance, const struct id *tenant, int64_t now_usec)
{
    size_t at = 0;

    while (at < allowance->count && !id_equal(&allowance->tenants[at].tenant, tenant))
        at++;
    if (at < allowance->count)
        return &allowance->tenants[at];
    if (at < TENANTS_MAX) {
        allowance->count++;
    } else {
        at = allowance->next;
        allowance->next = (at + 1) % TENANTS_MAX;
    }
    allowance->tenants[at] = (struct taken){.tenant = *tenant, .since_usec = now_usec};
    return &allowance->tenants[at];
}

bool allowance_take(struct allowance *allowance, const struct id *tenant, uint64_t bytes,
                    uint64_t most, int64_t now_usec)
{
    struct taken *taken;
    bool fits;

    (void)pthread_mutex_lock(&allowance->lock);
    taken = find(allowance, tenant, now_usec);
    if (now_usec - taken->since_usec >= HOUR_USEC)
        *taken = (struct taken){.tenant = *tenant, .since_usec = now_usec};
    fits = bytes <= most && taken->bytes <= most - bytes;
    if (fits)
        taken->bytes += bytes;
    (void)pthread_mutex_unlock(&allowance->lock);
    return fits;
}
