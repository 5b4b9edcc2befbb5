#include "worker/webhooks.h"

#include "lib/base/util.h"
#include "lib/db/db.h"
#include "lib/db/store_delivery.h"
#include "worker/webhook_retry.h"
#include "worker/webhook_sender.h"

#include <atoll/log.h>
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    EVENTS_A_ROUND = 50,   /* of each up to WEBHOOKS_MAX deliveries, within a statement's time */
    PER_WEBHOOK = 4,       /* at once, of each worker */
    LEASE_EXTRA_MS = 5000, /* beyond the time limit: to record the end */
    LOOK_AGAIN_USEC = 1000000, /* for events and for what is due */
};

struct webhooks {
    struct db_pool *pool;
    struct webhook_sender *sender;
    int64_t max_attempts;
    int64_t retry_ms;
    uint32_t waiting_max;
    uint32_t lease_ms;
    int64_t next_look_usec;
    atomic_bool stopping;
    bool failing; /* logged already */
    pthread_t thread;
};

static uint32_t random_bits(void)
{
    uint32_t bits = 0;

    /* Without random bits there is no jitter, which does not matter. */
    (void)!getrandom(&bits, sizeof(bits), GRND_NONBLOCK);
    return bits;
}

static int record(struct webhooks *webhooks, const struct webhook_result *result, struct error *err)
{
    const struct delivery_outcome outcome = {
        .id = result->id,
        .attempts = result->attempts,
        .delivered = result->delivered,
        .last = !result->delivered && result->attempts >= webhooks->max_attempts,
        .retry_ms = webhook_retry_ms(result->attempts, webhooks->retry_ms, random_bits()),
        .http_status = result->status,
        .error = result->delivered ? NULL : result->error,
    };

    return store_delivery_finish(webhooks->pool, &outcome, err);
}

/* All that have ended; one that cannot be recorded is sent again when its lease is over. */
static int record_ended(struct webhooks *webhooks, bool *ret_some, struct error *err)
{
    struct webhook_result result;
    int status = 0;
    bool some = false;

    while (webhook_sender_next(webhooks->sender, &result)) {
        some = true;
        if (record(webhooks, &result, err) < 0)
            status = -1;
    }
    *ret_some = some;
    return status;
}

static int claim(struct webhooks *webhooks, struct error *err)
{
    _cleanup_(delivery_claims_free) struct delivery_claims claims = {.items = NULL};
    struct delivery_busy busy[WEBHOOK_SENDER_MAX];
    const struct delivery_room room = {
        .total = (uint32_t)(WEBHOOK_SENDER_MAX - webhook_sender_count(webhooks->sender)),
        .per_webhook = PER_WEBHOOK,
        .lease_ms = webhooks->lease_ms,
        .busy = busy,
        .busy_count = webhook_sender_busy(webhooks->sender, busy),
    };

    if (room.total == 0)
        return 0;
    if (store_delivery_claim(webhooks->pool, &room, &claims, err) < 0)
        return -1;
    for (size_t i = 0; i < claims.count; i++)
        if (webhook_sender_start(webhooks->sender, &claims.items[i], err) < 0)
            return -1;
    return 0;
}

/* Logs the first failure only. */
static void note_failure(struct webhooks *webhooks, const struct error *err)
{
    if (!webhooks->failing)
        log_warn("webhooks have to wait: %s", err->message);
    webhooks->failing = true;
}

static void note_success(struct webhooks *webhooks)
{
    if (webhooks->failing)
        log_info("webhooks work again");
    webhooks->failing = false;
}

/* Looks in the database when it is time, or when a place has become free. */
static int work(struct webhooks *webhooks, struct error *err)
{
    bool more = false;
    bool ended;

    if (record_ended(webhooks, &ended, err) < 0)
        return -1;
    if (monotonic_usec() >= webhooks->next_look_usec) {
        if (store_delivery_fan_out(webhooks->pool, EVENTS_A_ROUND, webhooks->waiting_max, &more,
                                   err) < 0)
            return -1;
        note_success(webhooks);
        webhooks->next_look_usec = monotonic_usec() + (more ? 0 : LOOK_AGAIN_USEC);
        ended = true;
    }
    return ended ? claim(webhooks, err) : 0;
}

/* What is under way counts as tried, and is due at once for the next worker. */
static void give_back(struct webhooks *webhooks)
{
    struct webhook_result result;
    struct error err;

    while (webhook_sender_abandon(webhooks->sender, &result)) {
        const struct delivery_outcome outcome = {
            .id = result.id, .attempts = result.attempts, .error = "the worker was stopped"};

        if (store_delivery_finish(webhooks->pool, &outcome, &err) < 0)
            return;
    }
}

static void *run(void *context)
{
    struct webhooks *webhooks = context;
    struct error err = {0};

    while (!atomic_load(&webhooks->stopping)) {
        if (work(webhooks, &err) < 0) {
            note_failure(webhooks, &err);
            webhooks->next_look_usec = monotonic_usec() + LOOK_AGAIN_USEC;
        }
        if (webhook_sender_wait(webhooks->sender, deadline_left_ms(webhooks->next_look_usec),
                                &err) < 0)
            note_failure(webhooks, &err);
    }
    give_back(webhooks);
    return NULL;
}

static void webhooks_free(struct webhooks *webhooks)
{
    webhook_sender_free(webhooks->sender);
    db_pool_free(webhooks->pool);
    free(webhooks);
}

DEFINE_CLEANUP(struct webhooks *, webhooks_parts, webhooks_free)

int webhooks_start(const struct config *config, struct webhooks **ret_webhooks, struct error *err)
{
    const struct webhook_sender_options options = {
        .timeout_ms = (uint32_t)config->webhooks_timeout_ms,
        .allow_private = config->webhooks_allow_private,
    };
    _cleanup_(cleanup_webhooks_parts) struct webhooks *webhooks = calloc(1, sizeof(*webhooks));
    int errnum;

    if (!webhooks || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set_errno(err, ENOMEM, "cannot deliver webhooks");
    webhooks->max_attempts = config->webhooks_max_attempts;
    webhooks->retry_ms = config->webhooks_retry_ms;
    webhooks->waiting_max = (uint32_t)config->webhooks_max_pending;
    webhooks->lease_ms = options.timeout_ms + LEASE_EXTRA_MS;
    if (db_pool_create(config->database_system_url, 1, "atoll-worker webhooks", &webhooks->pool,
                       err) < 0 ||
        webhook_sender_new(&options, &webhooks->sender, err) < 0)
        return -1;
    errnum = pthread_create(&webhooks->thread, NULL, run, webhooks);
    if (errnum != 0)
        return error_set_errno(err, errnum, "cannot start the webhooks' thread");
    *ret_webhooks = TAKE_PTR(webhooks);
    return 0;
}

void webhooks_stop(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    atomic_store(&webhooks->stopping, true);
    webhook_sender_wake(webhooks->sender);
    (void)pthread_join(webhooks->thread, NULL);
    webhooks_free(webhooks);
}
