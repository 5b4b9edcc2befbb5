#include "server/auth/keyring.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "server/auth/issuer.h"
#include "server/auth/jwks_fetch.h"

#include <atoll/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUND_USEC = 1000 * 1000, /* how often files are looked at */
    WAIT_SECONDS = 1,         /* a request waits so long for a fetch, */
    WAITERS_MAX = 4,          /* and so many do at once */
};

/* What the thread replaces as a whole: requests read it under `guard`. */
struct issuer_list {
    struct issuer *items[AUTH_ISSUERS_MAX + 1];
    size_t count;
};

struct keyring {
    const struct config *config;
    pthread_rwlock_t guard; /* over the list, its issuers' keys, and `epoch` */
    struct issuer_list list;
    struct file_stamp stamp; /* of the file of issuers; the thread's */
    _Atomic uint64_t epoch;
    struct jwks_fetches *fetching; /* the thread's, but for its wake */
    pthread_t thread;
    bool has_thread;
    atomic_bool stopping;
    atomic_bool wakes;
    pthread_mutex_t lock; /* over what follows, and what issuer.h says */
    pthread_cond_t fetched;
    bool must_reload;
    uint64_t fetches; /* ended ones, of all issuers */
    unsigned waiters;
};

static void list_done(struct issuer_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        issuer_free(list->items[i]);
    *list = (struct issuer_list){.count = 0};
}

static struct issuer *find_issuer(const struct issuer_list *list, const char *name)
{
    for (size_t i = 0; name && i < list->count; i++)
        if (strcmp(list->items[i]->policy.issuer, name) == 0)
            return list->items[i];
    return NULL;
}

/* --- loading */

static int add_from_file(struct issuer_list *list, const struct config *config, struct error *err)
{
    _cleanup_(cleanup_auth_issuers) struct auth_issuers *issuers = NULL;
    const char *path = config->auth_issuers_file;

    if (path[0] == '\0')
        return 0;
    if (auth_issuers_load(path, &issuers, err) < 0)
        return -1;
    for (size_t i = 0; i < issuers->count; i++) {
        if (find_issuer(list, issuers->items[i].issuer))
            return error_set(
                err, ERR_INVALID_FIELD,
                "the file of issuers `%s`: 'issuers[%zu].issuer' is auth.issuer, which "
                "has keys in the configuration",
                path, i);
        if (issuer_create(&issuers->items[i], config, &list->items[list->count], err) < 0)
            return error_wrap(err, "the file of issuers `%s`: issuers[%zu]", path, i);
        list->count++;
    }
    return 0;
}

static int load_list(const struct config *config, struct issuer_list *ret_list, struct error *err)
{
    _cleanup_(list_done) struct issuer_list list = {.count = 0};
    struct issuer *own = NULL;

    if (issuer_create_own(config, &own, err) < 0)
        return -1;
    if (own)
        list.items[list.count++] = own;
    if (add_from_file(&list, config, err) < 0)
        return -1;
    if (list.count == 0)
        return error_set(err, ERR_INTERNAL, "no key to check tokens with is configured");
    *ret_list = list;
    list.count = 0;
    return 0;
}

/* --- the thread */

/* Replaces an issuer's keys, and says so to whoever remembers what they verified. */
static void set_keys(struct keyring *keyring, struct issuer *issuer, struct auth_keys *keys)
{
    struct auth_keys *before;

    pthread_rwlock_wrlock(&keyring->guard);
    before = issuer->keys;
    issuer->keys = keys;
    if (!auth_keys_equal(before, keys))
        atomic_fetch_add(&keyring->epoch, 1);
    pthread_rwlock_unlock(&keyring->guard);
    auth_keys_free(before);
}

/* What was fetched for an issuer that stays is not fetched anew; what was being fetched is. */
static void carry_over(struct issuer_list *fresh, struct issuer_list *before)
{
    for (size_t i = 0; i < fresh->count; i++) {
        struct issuer *now = fresh->items[i];
        struct issuer *then = find_issuer(before, now->policy.issuer);

        if (!then || !issuer_same_source(then, now))
            continue;
        now->keys = TAKE_PTR(then->keys);
        now->attempted_usec = then->is_fetching ? 0 : then->attempted_usec;
        now->is_wanted = then->is_wanted || then->is_fetching;
        now->fetched_usec = then->fetched_usec;
        now->is_failing = then->is_failing;
    }
}

static void reload(struct keyring *keyring)
{
    struct issuer_list before;
    struct issuer_list fresh = {.count = 0};
    struct error err;

    if (load_list(keyring->config, &fresh, &err) < 0) {
        log_error("the keys of issuers stay as they were: %s", err.message);
        return;
    }
    pthread_rwlock_wrlock(&keyring->guard);
    before = keyring->list;
    carry_over(&fresh, &before);
    keyring->list = fresh;
    atomic_fetch_add(&keyring->epoch, 1);
    pthread_rwlock_unlock(&keyring->guard);
    jwks_fetches_abandon(keyring->fetching);
    list_done(&before);
    log_info("the keys of %zu issuers are loaded", fresh.count);
}

static void refresh_from_files(struct keyring *keyring, struct issuer *issuer)
{
    struct auth_keys *keys = NULL;
    struct error err;

    if (!issuer_files_changed(issuer))
        return;
    if (issuer_load_files(issuer, &keys, &err) < 0) {
        log_error("issuer %s: its keys stay as they were: %s", issuer->policy.issuer, err.message);
        return;
    }
    set_keys(keyring, issuer, keys);
    log_info("issuer %s: its keys are loaded again", issuer->policy.issuer);
}

static void note_failure(struct issuer *issuer, const struct error *why)
{
    if (!issuer->is_failing)
        log_error("issuer %s: no keys from %s: %s; those it had serve %lld s from their fetch",
                  issuer->policy.issuer, issuer->url, why->message,
                  (long long)issuer->definition.max_age_s);
    issuer->is_failing = true;
}

static void take_set(struct keyring *keyring, struct issuer *issuer, struct auth_keys *keys)
{
    issuer->fetched_usec = monotonic_usec();
    if (issuer->is_failing)
        log_info("issuer %s: its keys are fetched again", issuer->policy.issuer);
    issuer->is_failing = false;
    set_keys(keyring, issuer, keys);
}

/* Claims the fetch of an issuer, when one is due. */
static bool claim_fetch(struct keyring *keyring, struct issuer *issuer)
{
    int64_t now = monotonic_usec();
    bool is_due;

    pthread_mutex_lock(&keyring->lock);
    is_due = !issuer->is_fetching && issuer_fetch_due(issuer, now);
    if (is_due) {
        issuer->is_fetching = true;
        issuer->is_wanted = false;
        issuer->attempted_usec = now;
    }
    pthread_mutex_unlock(&keyring->lock);
    return is_due;
}

static void end_fetch(struct keyring *keyring, struct issuer *issuer)
{
    pthread_mutex_lock(&keyring->lock);
    issuer->is_fetching = false;
    keyring->fetches++;
    pthread_cond_broadcast(&keyring->fetched);
    pthread_mutex_unlock(&keyring->lock);
}

static void begin_fetch(struct keyring *keyring, struct issuer *issuer)
{
    struct error err;

    if (jwks_fetches_begin(keyring->fetching, issuer->url, issuer->definition.ca_file, issuer,
                           &err) == 0)
        return;
    note_failure(issuer, &err);
    end_fetch(keyring, issuer);
}

static void take_fetched(struct keyring *keyring, struct jwks_fetched *fetched)
{
    _cleanup_free_ char *text = fetched->text;
    struct issuer *issuer = fetched->user;
    struct auth_keys *keys = NULL;

    if (text && issuer_load_set(text, fetched->size, &keys, &fetched->err) == 0)
        take_set(keyring, issuer, keys);
    else
        note_failure(issuer, &fetched->err);
    end_fetch(keyring, issuer);
}

static void refresh(struct keyring *keyring, struct issuer *issuer)
{
    if (!issuer->url) {
        refresh_from_files(keyring, issuer);
        return;
    }
    if (claim_fetch(keyring, issuer))
        begin_fetch(keyring, issuer);
    if (issuer_is_stale(issuer, monotonic_usec())) {
        log_error("issuer %s: its keys are too old, its tokens are refused", issuer->policy.issuer);
        set_keys(keyring, issuer, NULL);
    }
}

/* Moves the fetches on, until it is woken or the next round is due. */
static void fetch_until(struct keyring *keyring, int64_t until_usec)
{
    struct jwks_fetched fetched;
    struct error err;

    while (!atomic_exchange(&keyring->wakes, false) && monotonic_usec() < until_usec) {
        if (jwks_fetches_wait(keyring->fetching, deadline_left_ms(until_usec), &err) < 0) {
            log_error("key sets cannot be fetched: %s", err.message);
            (void)usleep(ROUND_USEC);
        }
        while (jwks_fetches_next(keyring->fetching, &fetched))
            take_fetched(keyring, &fetched);
    }
}

/* Returns whether to reload in the next round. */
static bool wait_for_round(struct keyring *keyring)
{
    bool must_reload;

    fetch_until(keyring, monotonic_usec() + ROUND_USEC);
    pthread_mutex_lock(&keyring->lock);
    must_reload = keyring->must_reload;
    keyring->must_reload = false;
    pthread_mutex_unlock(&keyring->lock);
    return must_reload;
}

static void *keep_fresh(void *argument)
{
    struct keyring *keyring = argument;
    bool must_reload = false;

    while (!atomic_load(&keyring->stopping)) {
        struct file_stamp stamp = file_stamp_of(keyring->config->auth_issuers_file);

        if (must_reload || !file_stamp_equal(&stamp, &keyring->stamp))
            reload(keyring);
        keyring->stamp = stamp;
        for (size_t i = 0; i < keyring->list.count && !atomic_load(&keyring->stopping); i++)
            refresh(keyring, keyring->list.items[i]);
        must_reload = wait_for_round(keyring);
    }
    return NULL;
}

static void wake(struct keyring *keyring)
{
    atomic_store(&keyring->wakes, true);
    jwks_fetches_wake(keyring->fetching);
}

/* --- start and stop */

static void init_locks(struct keyring *keyring)
{
    (void)pthread_rwlock_init(&keyring->guard, NULL);
    (void)pthread_mutex_init(&keyring->lock, NULL);
    condition_init(&keyring->fetched);
}

static int start(struct keyring *keyring, struct error *err)
{
    int failure;

    if (jwks_fetches_new(&keyring->fetching, err) < 0)
        return -1;
    keyring->stamp = file_stamp_of(keyring->config->auth_issuers_file);
    if (load_list(keyring->config, &keyring->list, err) < 0)
        return -1;
    failure = pthread_create(&keyring->thread, NULL, keep_fresh, keyring);
    if (failure)
        return error_set_errno(err, failure, "cannot start the thread of the keyring");
    keyring->has_thread = true;
    return 0;
}

int keyring_create(const struct config *config, struct keyring **ret_keyring, struct error *err)
{
    struct keyring *keyring = calloc(1, sizeof(*keyring));

    if (!keyring)
        return error_no_memory(err);
    keyring->config = config;
    init_locks(keyring);
    if (start(keyring, err) < 0) {
        keyring_destroy(keyring);
        return -1;
    }
    *ret_keyring = keyring;
    return 0;
}

void keyring_destroy(struct keyring *keyring)
{
    if (!keyring)
        return;
    atomic_store(&keyring->stopping, true);
    if (keyring->has_thread) {
        wake(keyring);
        pthread_join(keyring->thread, NULL);
    }
    jwks_fetches_free(keyring->fetching);
    list_done(&keyring->list);
    (void)pthread_cond_destroy(&keyring->fetched);
    (void)pthread_mutex_destroy(&keyring->lock);
    (void)pthread_rwlock_destroy(&keyring->guard);
    free(keyring);
}

void keyring_reload(struct keyring *keyring)
{
    pthread_mutex_lock(&keyring->lock);
    keyring->must_reload = true;
    wake(keyring);
    pthread_mutex_unlock(&keyring->lock);
}

/* --- requests */

uint64_t keyring_epoch(struct keyring *keyring)
{
    return atomic_load(&keyring->epoch);
}

/* What a check without the key it needs may wait for. */
struct hope {
    bool exists;      /* a fetch is under way or asked for */
    uint64_t fetches; /* that had ended before */
};

/* Asks for a fetch when one is allowed. Called with the read lock of `guard`. */
static struct hope want(struct keyring *keyring, struct issuer *issuer)
{
    struct hope hope;

    pthread_mutex_lock(&keyring->lock);
    if (issuer_may_refetch(issuer, monotonic_usec())) {
        issuer->is_wanted = true;
        wake(keyring);
    }
    hope.exists = issuer->is_wanted || issuer->is_fetching;
    hope.fetches = keyring->fetches;
    pthread_mutex_unlock(&keyring->lock);
    return hope;
}

/* Waits until a fetch has ended. False when `until` has passed or too many wait already. */
static bool wait_for_fetch(struct keyring *keyring, const struct hope *hope,
                           const struct timespec *until)
{
    bool ended;

    pthread_mutex_lock(&keyring->lock);
    if (keyring->waiters < WAITERS_MAX) {
        keyring->waiters++;
        while (keyring->fetches == hope->fetches &&
               pthread_cond_timedwait(&keyring->fetched, &keyring->lock, until) == 0)
            continue;
        keyring->waiters--;
    }
    ended = keyring->fetches != hope->fetches;
    pthread_mutex_unlock(&keyring->lock);
    return ended;
}

/* One try with the keys that are there now. */
static int check_once(struct keyring *keyring, struct auth_token *token, int64_t now,
                      struct auth_identity *ret_identity, struct hope *ret_hope, struct error *err)
{
    struct issuer *issuer;
    int result;

    ret_hope->exists = false;
    pthread_rwlock_rdlock(&keyring->guard);
    issuer = find_issuer(&keyring->list, auth_token_issuer(token));
    if (issuer) {
        result = auth_token_check(token, issuer->keys, &issuer->policy, now, ret_identity, err);
        if (result < 0 && token->reason == AUTH_UNKNOWN_KEY)
            *ret_hope = want(keyring, issuer);
    } else {
        token->reason = AUTH_WRONG_ISSUER;
        result = error_set(err, ERR_UNAUTHENTICATED, "the token's issuer is not configured");
    }
    pthread_rwlock_unlock(&keyring->guard);
    return result;
}

static int check(struct keyring *keyring, struct auth_token *token, int64_t now,
                 struct auth_identity *ret_identity, struct error *err)
{
    struct timespec until;
    struct hope hope;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_SECONDS;
    for (;;) {
        if (check_once(keyring, token, now, ret_identity, &hope, err) == 0)
            return 0;
        if (!hope.exists || !wait_for_fetch(keyring, &hope, &until))
            return -1;
    }
}

int keyring_verify(struct keyring *keyring, const char *token, size_t size, int64_t now,
                   struct auth_identity *ret_identity, enum auth_reason *ret_reason,
                   struct error *err)
{
    _cleanup_(auth_token_close) struct auth_token opened;
    int result = auth_token_open(&opened, token, size, err);

    if (result == 0)
        result = check(keyring, &opened, now, ret_identity, err);
    *ret_reason = opened.reason;
    return result;
}

int keyring_sign(struct keyring *keyring, const struct auth_claims *claims, int64_t now,
                 char **ret_token, struct error *err)
{
    const struct issuer *own;
    int result;

    pthread_rwlock_rdlock(&keyring->guard);
    own = keyring->list.count > 0 ? keyring->list.items[0] : NULL;
    if (own && own->policy.is_own)
        result = auth_token_sign(own->keys, &own->policy, claims, now, ret_token, err);
    else
        result =
            error_set(err, ERR_NOT_SUPPORTED, "this installation has no key to make tokens with");
    pthread_rwlock_unlock(&keyring->guard);
    return result;
}
