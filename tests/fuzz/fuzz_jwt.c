/*
 * Tokens. The input is a token as it came, or "header\0claims" that the target signs with the
 * right key, so that the fuzzer reaches what stands behind the signature. No input knows the key,
 * so the first form is never accepted.
 */
#include "lib/auth/token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000000, PART_MAX = 4096 };

static char secret[] = "0123456789abcdef0123456789abcdef";
static const struct auth_policy policy = {.issuer = "us", .audience = "api", .leeway_seconds = 30};

static struct auth_keys *make_keys(void)
{
    static struct auth_keys keys = {
        .items = {{.algorithm = AUTH_HS256, .bytes = secret, .size = 32, .signature_size = 32}},
        .count = 1,
    };

    return &keys;
}

static size_t encode(const uint8_t *data, size_t size, char *text)
{
    int length = EVP_EncodeBlock((unsigned char *)text, data, (int)size);

    while (length > 0 && text[length - 1] == '=')
        length--;
    for (int i = 0; i < length; i++) {
        if (text[i] == '+')
            text[i] = '-';
        if (text[i] == '/')
            text[i] = '_';
    }
    return (size_t)length;
}

static size_t sign(const uint8_t *header, size_t header_size, const uint8_t *claims,
                   size_t claims_size, char *token)
{
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned signature_size = 0;
    size_t used = encode(header, header_size, token);

    token[used++] = '.';
    used += encode(claims, claims_size, token + used);
    if (!HMAC(EVP_sha256(), secret, 32, (unsigned char *)token, used, signature, &signature_size))
        abort();
    token[used++] = '.';
    return used + encode(signature, signature_size, token + used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char token[4 * PART_MAX];
    const uint8_t *split = size > 0 ? memchr(data, 0, size) : NULL;
    struct auth_identity identity;
    size_t header_size;
    size_t token_size;

    if (auth_token_verify(make_keys(), &policy, (const char *)data, size, NOW, &identity, NULL) ==
        0)
        abort();
    if (!split || size > PART_MAX)
        return 0;
    header_size = (size_t)(split - data);
    token_size = sign(data, header_size, split + 1, size - header_size - 1, token);
    if (auth_token_verify(make_keys(), &policy, token, token_size, NOW, &identity, NULL) < 0)
        return 0;
    if (identity.subject[0] == '\0' || identity.expires_at + policy.leeway_seconds <= NOW)
        abort();
    return 0;
}
