/*
 * The keys that tokens are checked with. Which key belongs to which algorithm is the operator's
 * configuration; a token only names one of the configured algorithms.
 */
#ifndef LIB_AUTH_KEYS_H
#define LIB_AUTH_KEYS_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stddef.h>

/* RFC 7518 section 3.1. */
enum auth_algorithm { AUTH_HS256, AUTH_RS256, AUTH_ES256, AUTH_ALGORITHM_COUNT };

enum { AUTH_HS256_KEY_MIN = 32, AUTH_KEY_FILE_MAX = 16 * 1024 };

/* Paths; NULL or "" is a key that is not configured. */
struct auth_key_files {
    const char *hs256; /* the key's bytes; one newline at the end is not part of it */
    const char *rs256; /* PEM, an RSA public key of at least 2048 bits */
    const char *es256; /* PEM, a public key on P-256 */
};

struct auth_key {
    char *bytes;           /* NULL: not configured */
    size_t size;           /* at most AUTH_KEY_FILE_MAX */
    size_t signature_size; /* of a signature made with it */
};

struct auth_keys {
    struct auth_key of[AUTH_ALGORITHM_COUNT];
};

/*
 * Loads what is configured, at least one key. Refuses an HS256 key that is short or is a PEM file
 * (a public key must never be a secret), and PEM files that hold another kind of key.
 */
int auth_keys_load(const struct auth_key_files *files, struct auth_keys **ret_keys,
                   struct error *err);

/* Wipes and frees; NULL is allowed. */
void auth_keys_free(struct auth_keys *keys);

DEFINE_CLEANUP(struct auth_keys *, auth_keys, auth_keys_free)

#endif
