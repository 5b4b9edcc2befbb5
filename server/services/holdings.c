#include "server/services/holdings.h"

#include "lib/base/util.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    TENANTS_MAX = 1024,          /* further ones take the places of others, who are counted anew */
    COUNT_AGAIN_USEC = 10000000, /* what was deleted is seen then */
    REFUSE_AGAIN_USEC = 1000000, /* the same, while the tenant is at its limit */
    PAUSE_FACTOR = 50,           /* counting takes a fiftieth of the time at most */
};

struct held {
    struct id tenant;
    struct store_holding holding;
    int64_t counted_usec; /* monotonic; 0: never */
    int64_t pause_usec;   /* after a count, however much it is wanted */
};

struct holdings {
    pthread_mutex_t lock;
    size_t count;
    size_t next; /* whose place the next tenant takes when all are taken */
    struct held tenants[TENANTS_MAX];
};

int holdings_create(struct holdings **ret_holdings, struct error *err)
{
    struct holdings *holdings = calloc(1, sizeof(*holdings));

    if (!holdings)
        return error_set(err, ERR_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&holdings->lock, NULL);
    *ret_holdings = holdings;
    return 0;
}

void holdings_free(struct holdings *holdings)
{
    if (!holdings)
        return;
    (void)pthread_mutex_destroy(&holdings->lock);
    free(holdings);
}

struct store_holding holding_of_files(const struct sandbox_files *files)
{
    struct store_holding holding = {.definitions = 0};

    for (size_t i = 0; i < files->count; i++)
        holding.bytes += files->items[i].size;
    return holding;
}

struct store_holding holding_of(const struct sandbox_definition *definition)
{
    struct store_holding holding = holding_of_files(&definition->files);

    holding.definitions = 1;
    holding.bytes += definition->code_size;
    holding.bytes += definition->env_json ? strlen(definition->env_json) : 0;
    return holding;
}

/* With the lock, as all below. */
static struct held *find(struct holdings *holdings, const struct id *tenant)
{
    size_t at = 0;

    while (at < holdings->count && !id_equal(&holdings->tenants[at].tenant, tenant))
        at++;
    if (at == TENANTS_MAX) {
        at = holdings->next;
        holdings->next = (at + 1) % TENANTS_MAX;
    } else if (at < holdings->count) {
        return &holdings->tenants[at];
    } else {
        holdings->count++;
    }
    holdings->tenants[at] = (struct held){.tenant = *tenant};
    return &holdings->tenants[at];
}

/* Adds what is wanted, unless it would pass a limit. */
static int add(struct held *held, const struct store_holding *more, const struct config *config,
               struct error *err)
{
    uint64_t most = (uint64_t)config->sandbox_max_definitions;
    uint64_t most_mb = (uint64_t)config->sandbox_max_definition_mb;

    if (more->definitions > 0 && held->holding.definitions + more->definitions > most)
        return error_set(err, ERR_TOO_MANY,
                         "the tenant keeps %" PRIu64 " definitions (sandbox.max_definitions)",
                         most);
    if (held->holding.bytes + more->bytes > most_mb << 20)
        return error_set(err, ERR_TOO_MANY,
                         "the tenant's definitions have %" PRIu64
                         " MiB together (sandbox.max_definition_mb)",
                         most_mb);
    held->holding.definitions += more->definitions;
    held->holding.bytes += more->bytes;
    return 0;
}

/* Whether it is time to count: what is known is old, or refuses (`refused`) and is not quite new.
 */
static bool must_count(const struct held *held, bool refused)
{
    int64_t age_usec = monotonic_usec() - held->counted_usec;

    if (held->counted_usec == 0)
        return true;
    return age_usec >= (refused ? REFUSE_AGAIN_USEC : COUNT_AGAIN_USEC) &&
           age_usec >= held->pause_usec;
}

/*
 * Adds by what is known: 0, or -1 when that refuses, or 1 when the caller has to count first. While
 * he does, others go on with what is known.
 */
static int add_known(struct holdings *holdings, const struct id *tenant,
                     const struct store_holding *more, const struct config *config,
                     struct error *err)
{
    struct held *held = find(holdings, tenant);
    int status = must_count(held, false) ? 1 : add(held, more, config, err);

    if (status < 0 && must_count(held, true))
        status = 1;
    if (status > 0)
        held->counted_usec = monotonic_usec();
    return status;
}

static int add_counted(struct holdings *holdings, const struct id *tenant,
                       const struct store_holding *counted, int64_t cost_usec,
                       const struct store_holding *more, const struct config *config,
                       struct error *err)
{
    struct held *held;
    int status;

    (void)pthread_mutex_lock(&holdings->lock);
    held = find(holdings, tenant);
    held->holding = *counted;
    held->counted_usec = monotonic_usec();
    held->pause_usec = cost_usec * PAUSE_FACTOR;
    status = add(held, more, config, err);
    (void)pthread_mutex_unlock(&holdings->lock);
    return status;
}

int holdings_add(struct services *services, const struct caller *caller,
                 const struct store_holding *more, struct error *err)
{
    const struct config *config = atomic_load(&services->config);
    struct holdings *holdings = services->holdings;
    struct store_holding counted;
    int64_t began_usec;
    int status;

    (void)pthread_mutex_lock(&holdings->lock);
    status = add_known(holdings, &caller->tenant, more, config, err);
    (void)pthread_mutex_unlock(&holdings->lock);
    if (status <= 0)
        return status;
    began_usec = monotonic_usec();
    if (store_sandbox_holding(services->db, &caller->tenant, &counted, err) < 0)
        return -1;
    return add_counted(holdings, &caller->tenant, &counted, monotonic_usec() - began_usec, more,
                       config, err);
}
