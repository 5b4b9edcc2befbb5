#include "lib/auth/keys.h"

#include "lib/auth/jwk.h"
#include "lib/base/util.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(BIO *, bio, BIO_free)
DEFINE_CLEANUP(EVP_PKEY *, pkey, EVP_PKEY_free)

static void key_done(struct auth_key *key)
{
    if (key->bytes)
        OPENSSL_cleanse(key->bytes, key->size);
    free(key->bytes);
    free(key->id);
    *key = (struct auth_key){.bytes = NULL};
}

/* Loaded file bytes, wiped wherever they end. */
#define _cleanup_key_ _cleanup_(key_done)

static int check_secret(struct auth_key *key, struct error *err)
{
    if (key->size > 0 && key->bytes[key->size - 1] == '\n')
        key->size--;
    if (key->size > 0 && key->bytes[key->size - 1] == '\r')
        key->size--;
    if (key->size < AUTH_HS256_KEY_MIN)
        return error_set(err, ERR_INTERNAL, "an HS256 key has at least %d bytes",
                         AUTH_HS256_KEY_MIN);
    if (memmem(key->bytes, key->size, "-----BEGIN", strlen("-----BEGIN")))
        return error_set(err, ERR_INTERNAL, "an HS256 key is a secret, not a PEM file");
    key->algorithm = AUTH_HS256;
    key->signature_size = 32;
    return 0;
}

static int read_public_key(const struct auth_key *key, EVP_PKEY **ret_key, struct error *err)
{
    _cleanup_(cleanup_bio) BIO *bio = BIO_new_mem_buf(key->bytes, (int)key->size);

    if (bio)
        *ret_key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (!*ret_key)
        return error_set(err, ERR_INTERNAL, "the file holds no public key in PEM form");
    return 0;
}

static int accept_rsa(struct auth_key *key, const EVP_PKEY *public_key, struct error *err)
{
    int bits = EVP_PKEY_get_bits(public_key);

    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_RSA || bits < AUTH_RSA_BITS_MIN ||
        bits > AUTH_RSA_BITS_MAX)
        return error_set(err, ERR_INTERNAL,
                         "RS256 takes an RSA key of at least %d bits, at most %d",
                         AUTH_RSA_BITS_MIN, AUTH_RSA_BITS_MAX);
    key->algorithm = AUTH_RS256;
    key->signature_size = (size_t)EVP_PKEY_get_size(public_key);
    return 0;
}

static int accept_ec(struct auth_key *key, EVP_PKEY *public_key, struct error *err)
{
    char group[32];

    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_EC ||
        !EVP_PKEY_get_group_name(public_key, group, sizeof(group), NULL) ||
        strcmp(group, "prime256v1") != 0)
        return error_set(err, ERR_INTERNAL, "ES256 takes a key on the curve P-256");
    key->algorithm = AUTH_ES256;
    key->signature_size = 64; /* RFC 7518 section 3.4: R and S, 32 bytes each */
    return 0;
}

static int check_rsa(struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_pkey) EVP_PKEY *public_key = NULL;

    return read_public_key(key, &public_key, err) < 0 ? -1 : accept_rsa(key, public_key, err);
}

static int check_ec(struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_pkey) EVP_PKEY *public_key = NULL;

    return read_public_key(key, &public_key, err) < 0 ? -1 : accept_ec(key, public_key, err);
}

static int check_public(struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_pkey) EVP_PKEY *public_key = NULL;

    if (read_public_key(key, &public_key, err) < 0)
        return -1;
    return EVP_PKEY_get_base_id(public_key) == EVP_PKEY_RSA ? accept_rsa(key, public_key, err)
                                                            : accept_ec(key, public_key, err);
}

/* Moves the key into the set. */
static int append(struct auth_keys *keys, struct auth_key *key, struct error *err)
{
    for (size_t i = 0; i < keys->count; i++) {
        const char *id = keys->items[i].id;

        if (keys->items[i].algorithm == key->algorithm &&
            (id && key->id ? strcmp(id, key->id) == 0 : id == key->id))
            return error_set(err, ERR_INTERNAL, "two keys of one algorithm have the same id");
    }
    if (keys->count == AUTH_KEYS_MAX)
        return error_set(err, ERR_INTERNAL, "there are more than %d keys", AUTH_KEYS_MAX);
    keys->items[keys->count++] = *key;
    *key = (struct auth_key){.bytes = NULL};
    return 0;
}

int auth_keys_add_public(struct auth_keys *keys, const char *id, const char *pem, size_t size,
                         struct error *err)
{
    _cleanup_key_ struct auth_key key = {.bytes = strndup(pem, size), .size = size};

    if (id)
        key.id = strdup(id);
    if (!key.bytes || (id && !key.id))
        return error_no_memory(err);
    return check_public(&key, err) < 0 ? -1 : append(keys, &key, err);
}

static int load_key(const char *path, int (*check)(struct auth_key *, struct error *),
                    struct auth_keys *keys, struct error *err)
{
    _cleanup_key_ struct auth_key key = {.bytes = NULL};

    if (read_file(AT_FDCWD, path, AUTH_KEY_FILE_MAX, &key.bytes, &key.size, err) < 0 ||
        check(&key, err) < 0 || append(keys, &key, err) < 0)
        return error_wrap(err, "the key file `%s`", path);
    return 0;
}

static int load_jwks(const char *path, struct auth_keys *keys, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (read_file(AT_FDCWD, path, AUTH_JWKS_MAX, &text, &size, err) < 0 ||
        auth_jwks_add(keys, text, size, err) < 0)
        return error_wrap(err, "the key set `%s`", path);
    return 0;
}

int auth_keys_load(const struct auth_key_files *files, struct auth_keys **ret_keys,
                   struct error *err)
{
    const struct {
        const char *path;
        int (*check)(struct auth_key *key, struct error *err);
    } sources[] = {
        {files->hs256, check_secret},
        {files->rs256, check_rsa},
        {files->es256, check_ec},
        {files->public_key, check_public},
    };
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return error_no_memory(err);
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
        if (sources[i].path && sources[i].path[0] != '\0' &&
            load_key(sources[i].path, sources[i].check, keys, err) < 0)
            return -1;
    if (files->jwks && files->jwks[0] != '\0' && load_jwks(files->jwks, keys, err) < 0)
        return -1;
    if (keys->count == 0)
        return error_set(err, ERR_INTERNAL, "no key to check tokens with is configured");
    *ret_keys = TAKE_PTR(keys);
    return 0;
}

void auth_keys_free(struct auth_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++)
        key_done(&keys->items[i]);
    free(keys);
}

/* An exact id wins; a key without id stands for any; a token without id must leave no choice. */
const struct auth_key *auth_keys_find(const struct auth_keys *keys, enum auth_algorithm algorithm,
                                      const char *id)
{
    const struct auth_key *found = NULL;
    size_t matches = 0;

    for (size_t i = 0; i < keys->count; i++) {
        const struct auth_key *key = &keys->items[i];

        if (key->algorithm != algorithm)
            continue;
        if (id && key->id && strcmp(id, key->id) == 0)
            return key;
        if (id && key->id)
            continue;
        found = key;
        matches++;
    }
    return matches == 1 ? found : NULL;
}

static bool key_equal(const struct auth_key *a, const struct auth_key *b)
{
    return a->algorithm == b->algorithm && a->size == b->size &&
           (a->id && b->id ? strcmp(a->id, b->id) == 0 : a->id == b->id) &&
           CRYPTO_memcmp(a->bytes, b->bytes, a->size) == 0;
}

bool auth_keys_equal(const struct auth_keys *a, const struct auth_keys *b)
{
    size_t a_count = a ? a->count : 0;
    size_t b_count = b ? b->count : 0;

    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!key_equal(&a->items[i], &b->items[i]))
            return false;
    return true;
}
