/*
 * The issuers whose tokens are taken, each with keys of its own: the installation's own issuer (the
 * keys of the configuration) and those of auth.issuers_file.
 *
 * One thread keeps the keys fresh: it reads files again when they change, fetches published key
 * sets, all at once, and drops those that could not be fetched for too long. Requests only look: a
 * token is checked with the keys that are there, under a read lock. When a token names a key that
 * its issuer does not have, the thread is asked to fetch, at most once in the issuer's refetch
 * time, and a few requests wait for that, for at most a second.
 *
 * A failure keeps the keys as they were and is logged once, until it ends.
 */
#ifndef SERVER_AUTH_KEYRING_H
#define SERVER_AUTH_KEYRING_H

#include "lib/auth/token.h"

#include <atoll/config.h>

struct keyring;

/*
 * Loads all files, at least one key or URL, and starts the thread. `config` must live as long.
 * Errors name the file at fault.
 */
int keyring_create(const struct config *config, struct keyring **ret_keyring, struct error *err);

/* Stops the thread, within a second or so. NULL is allowed. */
void keyring_destroy(struct keyring *keyring);

/* Has the files read again, now. What is wrong is logged, and the keys stay. */
void keyring_reload(struct keyring *keyring);

/*
 * Checks a token with the keys of the issuer that it names, and no other's. Fails with
 * ERR_UNAUTHENTICATED and sets *ret_reason. Thread-safe.
 */
int keyring_verify(struct keyring *keyring, const char *token, size_t size, int64_t now,
                   struct auth_identity *ret_identity, enum auth_reason *ret_reason,
                   struct error *err);

/*
 * A number that changes whenever a key was added or removed: what was verified under another one
 * has to be verified again. Read it before the verification.
 */
uint64_t keyring_epoch(struct keyring *keyring);

/* Makes a token of the own issuer. ERR_NOT_SUPPORTED without an HS256 key. */
int keyring_sign(struct keyring *keyring, const struct auth_claims *claims, int64_t now,
                 char **ret_token, struct error *err);

#endif
