#include "lib/auth/jwk.h"

#include "lib/auth/base64url.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

enum {
    POINT_HALF = 32,        /* bytes of a coordinate of P-256 (RFC 7518 section 6.2.1.2) */
    RSA_EXPONENT_BITS = 64, /* OpenSSL takes no larger one with a large modulus */
};

DEFINE_CLEANUP(BIO *, bio, BIO_free)
DEFINE_CLEANUP(BIGNUM *, bignum, BN_free)
DEFINE_CLEANUP(EVP_PKEY *, pkey, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, pkey_context, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(OSSL_PARAM *, params, OSSL_PARAM_free)
DEFINE_CLEANUP(OSSL_PARAM_BLD *, builder, OSSL_PARAM_BLD_free)

static const char *text_of(const cJSON *jwk, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(jwk, name));
}

/* True when the member is absent or is this word. */
static bool absent_or(const cJSON *jwk, const char *name, const char *word)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(jwk, name);

    return !member || (cJSON_IsString(member) && strcmp(member->valuestring, word) == 0);
}

/* Decodes a base64url member into `bytes`; 0 when it is absent, malformed or too large. */
static size_t bytes_of(const cJSON *jwk, const char *name, unsigned char *bytes, size_t capacity)
{
    const char *text = text_of(jwk, name);
    size_t size;

    if (!text || !base64url_decode(text, strlen(text), bytes, capacity, &size))
        return 0;
    return size;
}

/* A key from its parameters, checked by OpenSSL; NULL when it is none. */
static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *builder)
{
    _cleanup_(cleanup_params) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    _cleanup_(cleanup_pkey_context) EVP_PKEY_CTX *making =
        EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    _cleanup_(cleanup_pkey_context) EVP_PKEY_CTX *checking = NULL;
    _cleanup_(cleanup_pkey) EVP_PKEY *key = NULL;

    if (!params || !making || EVP_PKEY_fromdata_init(making) <= 0 ||
        EVP_PKEY_fromdata(making, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        return NULL;
    checking = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!checking || EVP_PKEY_public_check_quick(checking) <= 0)
        return NULL;
    return TAKE_PTR(key);
}

static EVP_PKEY *make_rsa(const cJSON *jwk)
{
    unsigned char n_bytes[AUTH_RSA_BITS_MAX / 8 + 1];
    unsigned char e_bytes[RSA_EXPONENT_BITS / 8];
    size_t n_size = bytes_of(jwk, "n", n_bytes, sizeof(n_bytes));
    size_t e_size = bytes_of(jwk, "e", e_bytes, sizeof(e_bytes));
    _cleanup_(cleanup_bignum) BIGNUM *n = BN_bin2bn(n_bytes, (int)n_size, NULL);
    _cleanup_(cleanup_bignum) BIGNUM *e = BN_bin2bn(e_bytes, (int)e_size, NULL);
    _cleanup_(cleanup_builder) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

    if (!n || !e || !builder || BN_num_bits(n) < AUTH_RSA_BITS_MIN ||
        BN_num_bits(n) > AUTH_RSA_BITS_MAX || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
        return NULL;
    if (!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
        !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
        return NULL;
    return make_key("RSA", builder);
}

static EVP_PKEY *make_ec(const cJSON *jwk)
{
    unsigned char point[1 + 2 * POINT_HALF] = {POINT_CONVERSION_UNCOMPRESSED};
    const char *curve = text_of(jwk, "crv");
    _cleanup_(cleanup_builder) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();

    if (!builder || !curve || strcmp(curve, "P-256") != 0 ||
        bytes_of(jwk, "x", point + 1, POINT_HALF) != POINT_HALF ||
        bytes_of(jwk, "y", point + 1 + POINT_HALF, POINT_HALF) != POINT_HALF)
        return NULL;
    if (!OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
        return NULL;
    return make_key("EC", builder);
}

/* The key of one entry; NULL for what is passed over. */
static EVP_PKEY *read_key(const cJSON *jwk)
{
    const char *type = text_of(jwk, "kty");
    const char *id = text_of(jwk, "kid");

    if (!type || !id || id[0] == '\0' || strlen(id) > AUTH_KEY_ID_MAX ||
        cJSON_GetObjectItemCaseSensitive(jwk, "d") || !absent_or(jwk, "use", "sig"))
        return NULL;
    if (strcmp(type, "RSA") == 0 && absent_or(jwk, "alg", "RS256"))
        return make_rsa(jwk);
    if (strcmp(type, "EC") == 0 && absent_or(jwk, "alg", "ES256"))
        return make_ec(jwk);
    return NULL;
}

static int add_key(struct auth_keys *keys, const char *id, EVP_PKEY *key, struct error *err)
{
    _cleanup_(cleanup_bio) BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    long size;

    if (!bio || !PEM_write_bio_PUBKEY(bio, key))
        return error_set(err, ERR_INTERNAL, "cannot write a key as PEM");
    size = BIO_get_mem_data(bio, &pem);
    if (size <= 0)
        return error_set(err, ERR_INTERNAL, "cannot write a key as PEM");
    return auth_keys_add_public(keys, id, pem, (size_t)size, err);
}

int auth_jwks_add(struct auth_keys *keys, const char *text, size_t size, struct error *err)
{
    _cleanup_cjson_ cJSON *set = NULL;
    size_t before = keys->count;
    const cJSON *entries;
    const cJSON *entry;

    if (size > AUTH_JWKS_MAX)
        return error_set(err, ERR_INTERNAL, "a key set has at most %d bytes", AUTH_JWKS_MAX);
    if (json_parse(text, size, &set, err) < 0)
        return -1;
    entries = cJSON_GetObjectItemCaseSensitive(set, "keys");
    if (!cJSON_IsArray(entries))
        return error_set(err, ERR_INTERNAL, "a key set is an object with an array `keys`");
    if (cJSON_GetArraySize(entries) > AUTH_KEYS_MAX)
        return error_set(err, ERR_INTERNAL, "a key set has at most %d keys", AUTH_KEYS_MAX);
    cJSON_ArrayForEach(entry, entries)
    {
        _cleanup_(cleanup_pkey) EVP_PKEY *key = read_key(entry);

        if (key && add_key(keys, text_of(entry, "kid"), key, err) < 0)
            return -1;
    }
    if (keys->count == before)
        return error_set(err, ERR_INTERNAL,
                         "the key set holds no key that tokens are checked with");
    return 0;
}
