/*
 * The keys that tokens of one issuer are checked with. Which key belongs to which algorithm is
 * decided when it is loaded: from the operator's files, or from the kind of a published key. A
 * token only names one of them.
 */
#ifndef LIB_AUTH_KEYS_H
#define LIB_AUTH_KEYS_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

/* RFC 7518 section 3.1. */
enum auth_algorithm { AUTH_HS256, AUTH_RS256, AUTH_ES256, AUTH_ALGORITHM_COUNT };

enum {
    AUTH_HS256_KEY_MIN = 32,
    AUTH_RSA_BITS_MIN = 2048,
    AUTH_RSA_BITS_MAX = 8192,
    AUTH_KEY_FILE_MAX = 16 * 1024,
    AUTH_JWKS_MAX = 64 * 1024, /* bytes of a key set */
    AUTH_KEYS_MAX = 32,
    AUTH_KEY_ID_MAX = 255,
};

/* Paths; NULL or "" is a key that is not configured. */
struct auth_key_files {
    const char *hs256;      /* the key's bytes; one newline at the end is not part of it */
    const char *rs256;      /* PEM, an RSA public key of 2048 to 8192 bits */
    const char *es256;      /* PEM, a public key on P-256 */
    const char *public_key; /* PEM, either of the two */
    const char *jwks;       /* a key set (lib/auth/jwk.h) */
};

struct auth_key {
    enum auth_algorithm algorithm;
    char *id;              /* the `kid` it goes by; NULL: it has none and answers to any */
    char *bytes;           /* the secret, or PEM */
    size_t size;           /* at most AUTH_KEY_FILE_MAX */
    size_t signature_size; /* of a signature made with it */
};

/* No two keys have the same algorithm and id. Zeroed: no keys. */
struct auth_keys {
    struct auth_key items[AUTH_KEYS_MAX];
    size_t count;
};

/*
 * Loads what is configured, at least one key. Refuses an HS256 key that is short or is a PEM file
 * (a public key must never be a secret), and PEM files that hold another kind of key. Errors name
 * the file.
 */
int auth_keys_load(const struct auth_key_files *files, struct auth_keys **ret_keys,
                   struct error *err);

/* Wipes and frees; NULL is allowed. */
void auth_keys_free(struct auth_keys *keys);

DEFINE_CLEANUP(struct auth_keys *, auth_keys, auth_keys_free)

/*
 * Adds a public key as PEM with its algorithm by its kind. `id` may be NULL. Both texts are copied.
 * Fails for what auth_keys_load refuses, for a second key of the same algorithm and id, and when
 * there are AUTH_KEYS_MAX.
 */
int auth_keys_add_public(struct auth_keys *keys, const char *id, const char *pem, size_t size,
                         struct error *err);

/*
 * The key that a token with `id` (NULL: it names none) is checked with; NULL when there is none, or
 * when a token without `kid` could mean several.
 */
const struct auth_key *auth_keys_find(const struct auth_keys *keys, enum auth_algorithm algorithm,
                                      const char *id);

/* True when both hold the same keys. NULL is no keys. */
bool auth_keys_equal(const struct auth_keys *a, const struct auth_keys *b);

#endif
