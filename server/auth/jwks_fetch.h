/*
 * Fetches published key sets, several at a time, so that a slow one delays no other. URLs come from
 * the operator's file, never from a token. What answers is bounded: no redirect is followed, at
 * most AUTH_JWKS_MAX bytes, at most five seconds, status 200 only.
 *
 * One thread uses it; others may wake it.
 */
#ifndef SERVER_AUTH_JWKS_FETCH_H
#define SERVER_AUTH_JWKS_FETCH_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

enum { JWKS_FETCH_TIMEOUT_MS = 5000, JWKS_CONNECT_TIMEOUT_MS = 3000 };

struct jwks_fetches;

/* Prepares libcurl, too: before there are other threads. */
int jwks_fetches_new(struct jwks_fetches **ret_fetches, struct error *err);

/* Abandons what is under way. NULL is allowed. */
void jwks_fetches_free(struct jwks_fetches *fetches);

/*
 * Begins a fetch, which `user` tells apart from others; the texts are copied. The certificate of an
 * https URL must come from one in `ca_file` (PEM), or where that is NULL from one that the system
 * trusts.
 */
int jwks_fetches_begin(struct jwks_fetches *fetches, const char *url, const char *ca_file,
                       void *user, struct error *err);

/* Moves the fetches on for at most so long; not so long when it is woken or something has come. */
int jwks_fetches_wait(struct jwks_fetches *fetches, int timeout_ms, struct error *err);

/* A fetch that has ended. */
struct jwks_fetched {
    void *user;
    char *
        text; /* with a NUL beyond its size, the caller's to free; NULL: it failed, as `err` says */
    size_t size;
    struct error err; /* ERR_UNAVAILABLE */
};

/* Takes one of those that have ended. False when there is none. */
bool jwks_fetches_next(struct jwks_fetches *fetches, struct jwks_fetched *ret_fetched);

/* Forgets what is under way, and what has ended and was not taken. */
void jwks_fetches_abandon(struct jwks_fetches *fetches);

/* Ends a wait, or keeps the next one from waiting. Any thread. */
void jwks_fetches_wake(struct jwks_fetches *fetches);

#endif
