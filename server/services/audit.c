#include "server/services/audit.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "lib/db/store_audit.h"
#include "server/services/services.h"

#include <atoll/log.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MANY_MAX = 32, /* slots for what found none of its own */
    BATCH_MAX = 128,
    ROUND_SECONDS = 1,
    REPEAT_USEC = AUDIT_REPEAT_SECONDS * 1000000,
};

/* One future row. */
struct slot {
    bool is_used;
    bool is_single;
    struct id tenant;
    char kind[48];
    char reason[32];
    char actor[256];
    char client[46];
    char about[128];
    char request_id[65];
    int64_t count;        /* not yet written */
    int64_t written_usec; /* monotonic; 0: never */
};

struct region {
    size_t first;
    size_t count;
};

static const struct region anonymous = {0, AUDIT_ANONYMOUS_MAX};
static const struct region of_tenants = {AUDIT_ANONYMOUS_MAX, AUDIT_TENANT_MAX};
static const struct region many = {AUDIT_ANONYMOUS_MAX + AUDIT_TENANT_MAX, MANY_MAX};

enum { SLOTS = AUDIT_ANONYMOUS_MAX + AUDIT_TENANT_MAX + MANY_MAX };

struct audit {
    struct db_pool *db;
    pthread_t thread;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t changed;
    bool stopping;
    size_t pending; /* slots with something to write */
    uint64_t lost;
    uint32_t hashes[SLOTS]; /* of each slot's key, so that a search reads little */
    struct slot slots[SLOTS];
};

/* --- recording */

static void fill_slot(struct slot *slot, const struct audit_event *event)
{
    const char *const none = "";

    memset(slot, 0, sizeof(*slot));
    slot->is_single = event->is_single;
    slot->tenant = event->tenant;
    (void)snprintf(slot->kind, sizeof(slot->kind), "%s", event->kind);
    (void)snprintf(slot->reason, sizeof(slot->reason), "%s", event->reason ? event->reason : none);
    (void)snprintf(slot->actor, sizeof(slot->actor), "%s", event->actor ? event->actor : none);
    (void)snprintf(slot->client, sizeof(slot->client), "%s", event->client ? event->client : none);
    (void)snprintf(slot->about, sizeof(slot->about), "%s", event->about ? event->about : none);
    (void)snprintf(slot->request_id, sizeof(slot->request_id), "%s",
                   event->request_id ? event->request_id : none);
}

/* FNV-1a: a wrong guess costs a comparison, nothing else. */
static uint32_t hash_bytes(uint32_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 16777619U;
    return hash;
}

static uint32_t hash_slot(const struct slot *slot)
{
    uint32_t hash = hash_bytes(2166136261U, slot->tenant.bytes, ID_BYTES);

    hash = hash_bytes(hash, slot->kind, strlen(slot->kind));
    hash = hash_bytes(hash, slot->reason, strlen(slot->reason));
    hash = hash_bytes(hash, slot->actor, strlen(slot->actor));
    hash = hash_bytes(hash, slot->client, strlen(slot->client));
    return hash_bytes(hash, slot->about, strlen(slot->about));
}

static bool same_key(const struct slot *a, const struct slot *b)
{
    return !a->is_single && !b->is_single && id_equal(&a->tenant, &b->tenant) &&
           strcmp(a->kind, b->kind) == 0 && strcmp(a->reason, b->reason) == 0 &&
           strcmp(a->actor, b->actor) == 0 && strcmp(a->client, b->client) == 0 &&
           strcmp(a->about, b->about) == 0;
}

/* A slot whose minute is over with nothing new in it may be taken by another key. */
static bool is_free(const struct slot *slot, int64_t now)
{
    return !slot->is_used || (slot->count == 0 && now - slot->written_usec >= REPEAT_USEC);
}

/* The slot of the same key, or a free one that takes it; NULL when the region is full. */
static struct slot *place(struct audit *audit, const struct region *region,
                          const struct slot *wanted, int64_t now)
{
    uint32_t hash = hash_slot(wanted);
    size_t free_at = SLOTS;

    for (size_t i = region->first; i < region->first + region->count; i++) {
        if (audit->hashes[i] == hash && audit->slots[i].is_used &&
            same_key(&audit->slots[i], wanted))
            return &audit->slots[i];
        if (free_at == SLOTS && is_free(&audit->slots[i], now))
            free_at = i;
    }
    if (free_at == SLOTS)
        return NULL;
    audit->slots[free_at] = *wanted;
    audit->slots[free_at].is_used = true;
    audit->hashes[free_at] = hash;
    return &audit->slots[free_at];
}

/* Who does not fit counts among many, whose rows are few. */
static struct slot *place_anywhere(struct audit *audit, struct slot *wanted, int64_t now)
{
    static const struct id nobody;
    bool known = !id_equal(&wanted->tenant, &nobody);
    struct slot *slot = place(audit, known ? &of_tenants : &anonymous, wanted, now);

    if (slot || wanted->is_single)
        return slot;
    (void)snprintf(wanted->client, sizeof(wanted->client), "many");
    wanted->actor[0] = '\0';
    wanted->about[0] = '\0';
    return place(audit, &many, wanted, now);
}

void audit_record(const struct services *services, const struct audit_event *event)
{
    struct audit *audit = services->audit;
    struct slot wanted;
    struct slot *slot;

    fill_slot(&wanted, event);
    pthread_mutex_lock(&audit->lock);
    slot = place_anywhere(audit, &wanted, monotonic_usec());
    if (slot) {
        if (slot->count++ == 0) {
            memcpy(slot->request_id, wanted.request_id, sizeof(slot->request_id));
            audit->pending++;
            pthread_cond_signal(&audit->changed);
        }
    } else {
        audit->lost++;
    }
    pthread_mutex_unlock(&audit->lock);
}

/* --- writing */

struct batch {
    size_t count;
    struct slot copies[BATCH_MAX]; /* what the rows point into */
    size_t indexes[BATCH_MAX];
    struct store_audit rows[BATCH_MAX];
};

/* What was never written, or a minute ago; at the end, everything. */
static bool is_due(const struct slot *slot, int64_t now, bool at_end)
{
    return slot->is_used && slot->count > 0 &&
           (at_end || slot->written_usec == 0 || now - slot->written_usec >= REPEAT_USEC);
}

static void add_to_batch(struct batch *batch, const struct slot *slot, size_t index)
{
    struct slot *copy = &batch->copies[batch->count];

    *copy = *slot;
    batch->indexes[batch->count] = index;
    batch->rows[batch->count++] = (struct store_audit){
        .tenant = copy->tenant,
        .kind = copy->kind,
        .actor = copy->actor,
        .request_id = copy->request_id,
        .reason = copy->reason,
        .client = copy->client,
        .about = copy->about,
        .count = copy->count,
    };
}

/* Called with the lock. Only this thread frees slots, so an index stays right until settle. */
static void collect(const struct audit *audit, struct batch *batch, bool at_end)
{
    int64_t now = monotonic_usec();

    batch->count = 0;
    for (size_t i = 0; i < SLOTS && batch->count < BATCH_MAX; i++)
        if (is_due(&audit->slots[i], now, at_end))
            add_to_batch(batch, &audit->slots[i], i);
}

/* Called with the lock: takes off what was written. */
static void settle(struct audit *audit, const struct batch *batch)
{
    int64_t now = monotonic_usec();

    for (size_t i = 0; i < batch->count; i++) {
        struct slot *slot = &audit->slots[batch->indexes[i]];

        slot->count -= batch->copies[i].count;
        slot->written_usec = now;
        slot->is_used = !slot->is_single;
        audit->pending -= slot->count == 0;
    }
}

/* Writes one batch; returns how many rows that were, 0 when none is due or the write failed. */
static size_t write_batch(struct audit *audit, struct batch *batch, bool at_end)
{
    struct error err;
    bool written;

    collect(audit, batch, at_end);
    if (batch->count == 0)
        return 0;
    pthread_mutex_unlock(&audit->lock);
    written = store_audit_append(audit->db, batch->rows, batch->count, &err) == 0;
    if (!written && err.code != ERR_UNAVAILABLE)
        log_error("%zu events cannot be written: %s", batch->count, err.message);
    pthread_mutex_lock(&audit->lock);
    /* What PostgreSQL refuses once it refuses again; what it was away for is kept. */
    if (written || err.code != ERR_UNAVAILABLE)
        settle(audit, batch);
    return written ? batch->count : 0;
}

static void report_lost(struct audit *audit)
{
    if (audit->lost > 0)
        log_warn("%llu events found no place and are lost", (unsigned long long)audit->lost);
    audit->lost = 0;
}

/* A pause between rounds, which a stop ends at once. Called with the lock. */
static void pause_round(struct audit *audit)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ROUND_SECONDS;
    while (!audit->stopping && pthread_cond_timedwait(&audit->changed, &audit->lock, &until) == 0)
        continue;
}

static void *write_events(void *argument)
{
    struct audit *audit = argument;
    struct batch *batch = calloc(1, sizeof(*batch));

    if (!batch) {
        log_error("no memory for events: they are not written");
        return NULL;
    }
    pthread_mutex_lock(&audit->lock);
    while (!audit->stopping) {
        while (write_batch(audit, batch, false) == BATCH_MAX)
            continue;
        report_lost(audit);
        while (!audit->stopping && audit->pending == 0)
            pthread_cond_wait(&audit->changed, &audit->lock);
        pause_round(audit);
    }
    while (write_batch(audit, batch, true) > 0)
        continue;
    if (audit->pending > 0)
        log_warn("%zu kinds of events are not written: the database is away", audit->pending);
    pthread_mutex_unlock(&audit->lock);
    free(batch);
    return NULL;
}

/* --- start and stop */

int audit_start(struct db_pool *db, struct audit **ret_audit, struct error *err)
{
    struct audit *audit = calloc(1, sizeof(*audit));
    int failure;

    if (!audit)
        return error_no_memory(err);
    audit->db = db;
    (void)pthread_mutex_init(&audit->lock, NULL);
    condition_init(&audit->changed);
    failure = pthread_create(&audit->thread, NULL, write_events, audit);
    if (failure) {
        free(audit);
        return error_set_errno(err, failure, "cannot start the thread of events");
    }
    *ret_audit = audit;
    return 0;
}

void audit_stop(struct audit *audit)
{
    if (!audit)
        return;
    pthread_mutex_lock(&audit->lock);
    audit->stopping = true;
    pthread_cond_broadcast(&audit->changed);
    pthread_mutex_unlock(&audit->lock);
    pthread_join(audit->thread, NULL);
    (void)pthread_cond_destroy(&audit->changed);
    (void)pthread_mutex_destroy(&audit->lock);
    free(audit);
}
