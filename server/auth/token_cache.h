/*
 * Tokens and API keys that were verified, until they expire: an RS256 or ES256 check costs 300 µs
 * and more, a look-up under 1 µs. Memory is constant: a fixed table, in each set of which the entry
 * unused for longest makes room. Keys are SHA-256 digests, so a token cannot be read back from
 * memory. Only successes are kept. Thread-safe.
 */
#ifndef SERVER_AUTH_TOKEN_CACHE_H
#define SERVER_AUTH_TOKEN_CACHE_H

#include "lib/auth/token.h"

#include <stdbool.h>

enum { TOKEN_DIGEST_SIZE = 32 };

struct token_cache;

/* What is known of a token or key. */
struct token_record {
    struct auth_identity identity;
    uint64_t epoch;       /* keyring_epoch() before it was verified */
    int64_t checked_usec; /* monotonic: when its tenant and key were last found in good standing */
};

/* About 4 MB. */
int token_cache_create(struct token_cache **ret_cache, struct error *err);
void token_cache_destroy(struct token_cache *cache);

/* True when the digest is known and has not expired at `now` (Unix seconds). */
bool token_cache_find(struct token_cache *cache, const unsigned char digest[TOKEN_DIGEST_SIZE],
                      int64_t now, struct token_record *ret_record);

void token_cache_store(struct token_cache *cache, const unsigned char digest[TOKEN_DIGEST_SIZE],
                       const struct token_record *record);

#endif
