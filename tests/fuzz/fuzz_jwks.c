/*
 * Published key sets and the file of issuers: both are JSON that is taken apart by hand. What is
 * taken must be usable: every key has an id, PEM and the length of its signatures.
 */
#include "lib/auth/issuers.h"
#include "lib/auth/jwk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct auth_keys *keys, const struct auth_key *key)
{
    if (!key->id || key->id[0] == '\0' || !key->bytes || key->size == 0 ||
        key->algorithm == AUTH_HS256 || key->signature_size < 64 ||
        key->signature_size > AUTH_RSA_BITS_MAX / 8 ||
        auth_keys_find(keys, key->algorithm, key->id) != key)
        abort();
}

static void check_issuer(const struct auth_issuer *issuer)
{
    if (issuer->algorithms == 0 || issuer->max_role == ROLE_NONE ||
        (issuer->source == AUTH_SOURCE_JWKS_URL && !auth_jwks_url_valid(issuer->where)) ||
        ((issuer->algorithms & 1U << AUTH_HS256) != 0) !=
            (issuer->source == AUTH_SOURCE_HS256_KEY_FILE))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth_keys *keys = calloc(1, sizeof(*keys));
    struct auth_issuers *issuers = NULL;

    if (!keys)
        abort();
    if (auth_jwks_add(keys, (const char *)data, size, NULL) == 0)
        for (size_t i = 0; i < keys->count; i++)
            check_key(keys, &keys->items[i]);
    auth_keys_free(keys);
    if (auth_issuers_parse((const char *)data, size, &issuers, NULL) == 0)
        for (size_t i = 0; i < issuers->count; i++)
            check_issuer(&issuers->items[i]);
    auth_issuers_free(issuers);
    return 0;
}
