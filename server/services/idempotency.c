#include "server/services/idempotency.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "server/services/allowance.h"

#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WAIT_MS = 10000, /* for another request's answer: a waiting retry holds a thread */
    POLL_FIRST_MS = 10,
    POLL_MOST_MS = 250, /* when another server works on it; this one's own are signalled */
    LEASE_EXTRA_S = 60, /* beyond the longest time limit of an execution */
};

struct idempotency {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* some request has left the table */
    LIST_HEAD(attempt_list, attempt) at_work;
    struct allowance *answers; /* that are kept */
};

int idempotency_create(struct idempotency **ret_idempotency, struct error *err)
{
    struct idempotency *idempotency = calloc(1, sizeof(*idempotency));

    if (!idempotency)
        return error_set_errno(err, ENOMEM, "cannot make the table of idempotency keys");
    if (allowance_create(&idempotency->answers, err) < 0) {
        free(idempotency);
        return -1;
    }
    (void)pthread_mutex_init(&idempotency->lock, NULL);
    condition_init(&idempotency->ended);
    LIST_INIT(&idempotency->at_work);
    *ret_idempotency = idempotency;
    return 0;
}

void idempotency_free(struct idempotency *idempotency)
{
    if (!idempotency)
        return;
    allowance_free(idempotency->answers);
    (void)pthread_cond_destroy(&idempotency->ended);
    (void)pthread_mutex_destroy(&idempotency->lock);
    free(idempotency);
}

static bool same_key(const struct db_claim *a, const struct db_claim *b)
{
    return id_equal(&a->tenant, &b->tenant) && strcmp(a->key, b->key) == 0;
}

static int mismatch(struct error *err)
{
    return error_set_field(err, ERR_IDEMPOTENCY, "Idempotency-Key",
                           "this Idempotency-Key came before with another request");
}

/* True when no other request of this process has the key: the caller has it now. */
static int enter(struct idempotency *idempotency, struct attempt *attempt, struct error *err)
{
    struct attempt *other;
    int status = 0;

    (void)pthread_mutex_lock(&idempotency->lock);
    LIST_FOREACH(other, &idempotency->at_work, link)
    if (same_key(&other->claim, &attempt->claim))
        break;
    if (!other) {
        LIST_INSERT_HEAD(&idempotency->at_work, attempt, link);
        attempt->at_work = true;
    } else if (memcmp(other->claim.fingerprint, attempt->claim.fingerprint, DB_FINGERPRINT_SIZE) !=
               0) {
        status = mismatch(err);
    }
    (void)pthread_mutex_unlock(&idempotency->lock);
    return status;
}

static void leave(struct idempotency *idempotency, struct attempt *attempt)
{
    if (!attempt->at_work)
        return;
    (void)pthread_mutex_lock(&idempotency->lock);
    LIST_REMOVE(attempt, link);
    attempt->at_work = false;
    (void)pthread_cond_broadcast(&idempotency->ended);
    (void)pthread_mutex_unlock(&idempotency->lock);
}

/* Until some request of this process has ended, or the time is over. */
static void wait_a_while(struct idempotency *idempotency, unsigned milliseconds)
{
    int64_t end = monotonic_usec() + milliseconds * INT64_C(1000);
    struct timespec until = condition_time(end);

    (void)pthread_mutex_lock(&idempotency->lock);
    (void)pthread_cond_timedwait(&idempotency->ended, &idempotency->lock, &until);
    (void)pthread_mutex_unlock(&idempotency->lock);
}

/* An attempt and what it looks for. */
struct search {
    struct services *services;
    struct db_scope scope;
    struct attempt *attempt;
    enum attempt_turn turn;
    struct store_answer answer;
};

/* Looks for an answer: 1 when it is there, 0 when somebody has to make one. */
static int find_answer(struct search *search, enum store_key_state *ret_state, struct error *err)
{
    if (store_key_find(search->services->db, &search->scope, &search->attempt->claim, ret_state,
                       &search->answer, err) < 0)
        return -1;
    if (*ret_state == STORE_KEY_OTHER)
        return mismatch(err);
    search->turn = ATTEMPT_REPLAYS;
    return *ret_state == STORE_KEY_ANSWERED;
}

/* As find_answer, in the table: 1 also when it is this request that has to make the answer. */
static int find_turn(struct search *search, struct error *err)
{
    const struct config *config = search->services->config;
    uint32_t lease_s = (uint32_t)(config->sandbox_max_timeout_ms / 1000) + LEASE_EXTRA_S;
    struct db_claim *claim = &search->attempt->claim;
    enum store_key_state state;
    bool taken;
    int found = find_answer(search, &state, err);

    if (found != 0)
        return found;
    if (state == STORE_KEY_ABSENT) {
        claim->state = DB_CLAIM_OPEN;
        search->turn = ATTEMPT_RUNS;
        return 1;
    }
    if (store_key_take(search->services->db, &search->scope, claim, lease_s, &taken, err) < 0)
        return -1;
    claim->state = DB_CLAIM_HELD;
    search->turn = ATTEMPT_REMAKES;
    return taken;
}

/* 1 when the request knows what to do, 0 when it has to wait for another. */
static int try_once(struct search *search, struct error *err)
{
    struct idempotency *idempotency = search->services->idempotency;
    int found = 0;

    if (enter(idempotency, search->attempt, err) < 0)
        return -1;
    if (search->attempt->at_work)
        found = find_turn(search, err);
    if (found != 1 || search->turn == ATTEMPT_REPLAYS)
        leave(idempotency, search->attempt);
    return found;
}

/* The scope of what is said about the claim, rather than under it. */
static struct db_scope key_scope(const struct caller *caller)
{
    return (struct db_scope){.tenant = caller->tenant};
}

int idempotency_begin(struct services *services, const struct caller *caller,
                      struct attempt *attempt, enum attempt_turn *ret_turn,
                      struct store_answer *ret_answer, struct error *err)
{
    struct search search = {services, key_scope(caller), attempt, ATTEMPT_RUNS, {.data = NULL}};
    int64_t deadline = monotonic_usec() + WAIT_MS * INT64_C(1000);
    unsigned pause_ms = POLL_FIRST_MS;
    int found = try_once(&search, err);

    while (found == 0 && monotonic_usec() < deadline) {
        enum store_key_state state;

        wait_a_while(services->idempotency, pause_ms);
        pause_ms = pause_ms < POLL_MOST_MS / 2 ? pause_ms * 2 : POLL_MOST_MS;
        /* Most retries find the answer now; they need not take turns for that. */
        found = find_answer(&search, &state, err);
        if (found == 0)
            found = try_once(&search, err);
    }
    if (found < 0)
        return -1;
    if (found == 0)
        return error_set(err, ERR_CONFLICT,
                         "another request with this Idempotency-Key is still being worked on");
    *ret_turn = search.turn;
    *ret_answer = search.answer;
    return 0;
}

bool idempotency_lost(struct services *services, const struct caller *caller,
                      struct attempt *attempt)
{
    const struct db_scope scope = key_scope(caller);
    struct store_answer answer = {.data = NULL};
    enum store_key_state state = STORE_KEY_ABSENT;
    bool lost = attempt->claim.state == DB_CLAIM_REFUSED;

    /* What another server did under the key may be why this one could not. */
    if (attempt->claim.state == DB_CLAIM_OPEN &&
        store_key_find(services->db, &scope, &attempt->claim, &state, &answer, NULL) == 0)
        lost = state != STORE_KEY_ABSENT;
    store_answer_free(&answer);
    if (lost)
        leave(services->idempotency, attempt);
    return lost;
}

int idempotency_forget(struct services *services, const struct caller *caller,
                       struct attempt *attempt, struct error *err)
{
    const struct db_scope scope = key_scope(caller);

    if (store_key_forget(services->db, &scope, &attempt->claim, err) < 0)
        return -1;
    attempt->claim.state = DB_CLAIM_OPEN;
    return 0;
}

/* So many bytes of a tenant's answers, of an hour, are kept: a day's are in the database. */
static bool may_keep(struct services *services, const struct id *tenant,
                     const struct store_answer *answer)
{
    const struct config *config = atomic_load(&services->config);

    return allowance_take(services->idempotency->answers, tenant, answer->size,
                          (uint64_t)config->server_max_kept_answers_mb << 20, monotonic_usec());
}

/* What becomes of the key. A failure costs a retry nothing but the way over the resource. */
static int settle(struct services *services, const struct db_scope *scope,
                  const struct db_claim *claim, int status, const struct store_answer *answer,
                  struct error *err)
{
    bool written = claim->state == DB_CLAIM_HELD || claim->state == DB_CLAIM_UNKNOWN;

    if (status < 400 || (status < 500 && status != 429 && written)) {
        if (answer)
            return store_key_answer(services->db, scope, claim, answer, err);
        return written ? store_key_leave(services->db, scope, claim, err) : 0;
    }
    if (status == 429 && claim->state == DB_CLAIM_HELD)
        return store_key_forget(services->db, scope, claim, err);
    return written ? store_key_leave(services->db, scope, claim, err) : 0;
}

void idempotency_end(struct services *services, const struct caller *caller,
                     struct attempt *attempt, int status, const struct store_answer *answer)
{
    const struct db_scope scope = key_scope(caller);
    struct error err;

    if (!attempt->at_work)
        return;
    if (answer && !may_keep(services, &caller->tenant, answer))
        answer = NULL;
    if (settle(services, &scope, &attempt->claim, status, answer, &err) < 0)
        log_warn("the answer to an idempotency key is not kept: %s", err.message);
    leave(services->idempotency, attempt);
}
