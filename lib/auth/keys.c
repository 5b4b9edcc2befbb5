#include "lib/auth/keys.h"

#include "lib/base/util.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048 };

DEFINE_CLEANUP(BIO *, bio, BIO_free)
DEFINE_CLEANUP(EVP_PKEY *, pkey, EVP_PKEY_free)

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

static int check_rsa(struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_pkey) EVP_PKEY *public_key = NULL;

    if (read_public_key(key, &public_key, err) < 0)
        return -1;
    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_RSA ||
        EVP_PKEY_get_bits(public_key) < RSA_BITS_MIN)
        return error_set(err, ERR_INTERNAL, "RS256 takes an RSA key of at least %d bits",
                         RSA_BITS_MIN);
    key->signature_size = (size_t)EVP_PKEY_get_size(public_key);
    return 0;
}

static int check_ec(struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_pkey) EVP_PKEY *public_key = NULL;
    char group[32];

    if (read_public_key(key, &public_key, err) < 0)
        return -1;
    if (EVP_PKEY_get_base_id(public_key) != EVP_PKEY_EC ||
        !EVP_PKEY_get_group_name(public_key, group, sizeof(group), NULL) ||
        strcmp(group, "prime256v1") != 0)
        return error_set(err, ERR_INTERNAL, "ES256 takes a key on the curve P-256");
    key->signature_size = 64; /* RFC 7518 section 3.4: R and S, 32 bytes each */
    return 0;
}

static int load_key(const char *path, int (*check)(struct auth_key *, struct error *),
                    struct auth_key *key, struct error *err)
{
    if (read_file(AT_FDCWD, path, AUTH_KEY_FILE_MAX, &key->bytes, &key->size, err) < 0 ||
        check(key, err) < 0)
        return error_wrap(err, "the key file `%s`", path);
    return 0;
}

int auth_keys_load(const struct auth_key_files *files, struct auth_keys **ret_keys,
                   struct error *err)
{
    const struct {
        const char *path;
        int (*check)(struct auth_key *key, struct error *err);
    } sources[AUTH_ALGORITHM_COUNT] = {
        [AUTH_HS256] = {files->hs256, check_secret},
        [AUTH_RS256] = {files->rs256, check_rsa},
        [AUTH_ES256] = {files->es256, check_ec},
    };
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = calloc(1, sizeof(*keys));
    size_t loaded = 0;

    if (!keys)
        return error_set(err, ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < AUTH_ALGORITHM_COUNT; i++) {
        if (!sources[i].path || sources[i].path[0] == '\0')
            continue;
        if (load_key(sources[i].path, sources[i].check, &keys->of[i], err) < 0)
            return -1;
        loaded++;
    }
    if (loaded == 0)
        return error_set(err, ERR_INTERNAL, "no key to check tokens with is configured");
    *ret_keys = TAKE_PTR(keys);
    return 0;
}

void auth_keys_free(struct auth_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < AUTH_ALGORITHM_COUNT; i++) {
        if (keys->of[i].bytes)
            OPENSSL_cleanse(keys->of[i].bytes, keys->of[i].size);
        free(keys->of[i].bytes);
    }
    free(keys);
}
