#include "tests/unit/lib/auth/token_maker.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *encode(const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *bytes = data;
    char *text = calloc(1, size * 4 / 3 + 4);
    size_t used = 0;
    uint32_t bits = 0;
    unsigned held = 0;

    assert_non_null(text);
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (held += 8; held >= 6; held -= 6)
            text[used++] = digits[bits >> (held - 6) & 63];
    }
    if (held > 0)
        text[used++] = digits[bits << (6 - held) & 63];
    return text;
}

static char *join(const char *left, const char *right)
{
    char *text = NULL;

    assert_true(asprintf(&text, "%s.%s", left, right) > 0);
    return text;
}

static char *signing_input(const char *header, const char *claims)
{
    _cleanup_free_ char *left = encode(header, strlen(header));
    _cleanup_free_ char *right = encode(claims, strlen(claims));

    return join(left, right);
}

void maker_file(const struct maker *maker, const char *name, const char *content, char *ret_path)
{
    FILE *file;

    (void)snprintf(ret_path, 96, "%s/%s", maker->folder, name);
    file = fopen(ret_path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long size;
    char *pem;

    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    size = BIO_get_mem_data(bio, &data);
    pem = strndup(data, (size_t)size);
    BIO_free(bio);
    return pem;
}

void maker_create(struct maker *maker)
{
    _cleanup_free_ char *ec_pem = NULL;

    (void)strcpy(maker->folder, "/tmp/atoll-auth-XXXXXX");
    assert_non_null(mkdtemp(maker->folder));
    maker->rsa = EVP_RSA_gen(2048);
    maker->ec = EVP_EC_gen("P-256");
    assert_non_null(maker->rsa);
    assert_non_null(maker->ec);
    maker->rsa_pem = public_pem(maker->rsa);
    ec_pem = public_pem(maker->ec);
    maker_file(maker, "hs256", MAKER_SECRET "\n", maker->hs256_path);
    maker_file(maker, "rs256", maker->rsa_pem, maker->rs256_path);
    maker_file(maker, "es256", ec_pem, maker->es256_path);
}

void maker_destroy(struct maker *maker)
{
    static const char *const names[] = {"hs256", "rs256", "es256", "other"};
    char path[96];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", maker->folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(maker->folder), 0);
    EVP_PKEY_free(maker->rsa);
    EVP_PKEY_free(maker->ec);
    free(maker->rsa_pem);
}

char *maker_sign_hmac(const char *key, size_t key_size, const char *header, const char *claims)
{
    _cleanup_free_ char *input = signing_input(header, claims);
    _cleanup_free_ char *signature = NULL;
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = sizeof(bytes);

    assert_non_null(HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)input,
                         strlen(input), bytes, &size));
    signature = encode(bytes, size);
    return join(input, signature);
}

/* DER to the 64 bytes of RFC 7518 section 3.4. */
static size_t to_raw(unsigned char *bytes, size_t size)
{
    const unsigned char *at = bytes;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)size);

    assert_non_null(signature);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, 32), 32);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + 32, 32), 32);
    ECDSA_SIG_free(signature);
    return 64;
}

char *maker_sign(const struct maker *maker, enum auth_algorithm how, const char *header,
                 const char *claims)
{
    _cleanup_free_ char *input = NULL;
    _cleanup_free_ char *signature = NULL;
    unsigned char bytes[512];
    size_t size = sizeof(bytes);
    EVP_MD_CTX *context;

    if (how == AUTH_HS256)
        return maker_sign_hmac(MAKER_SECRET, strlen(MAKER_SECRET), header, claims);
    input = signing_input(header, claims);
    context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL,
                                        how == AUTH_RS256 ? maker->rsa : maker->ec),
                     1);
    assert_int_equal(
        EVP_DigestSign(context, bytes, &size, (const unsigned char *)input, strlen(input)), 1);
    EVP_MD_CTX_free(context);
    if (how == AUTH_ES256)
        size = to_raw(bytes, size);
    signature = encode(bytes, size);
    return join(input, signature);
}

char *maker_unsigned(const char *header, const char *claims)
{
    _cleanup_free_ char *input = signing_input(header, claims);

    return join(input, "");
}
