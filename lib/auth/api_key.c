#include "lib/auth/api_key.h"

#include "lib/auth/base64url.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    START_LENGTH = sizeof(API_KEY_START) - 1,
    PREFIX_LENGTH = API_KEY_PREFIX_SIZE - 1,
    PREFIX_BYTES = PREFIX_LENGTH / 2,
    SECRET_LENGTH = BASE64URL_ENCODED_SIZE(API_KEY_SECRET_BYTES),
};

_Static_assert(START_LENGTH + PREFIX_LENGTH + 1 + SECRET_LENGTH + 1 == API_KEY_TEXT_SIZE,
               "the text of an API key has one length");

static int hash_text(struct api_key *key, struct error *err)
{
    if (!SHA256((const unsigned char *)key->text, strlen(key->text), key->hash))
        return error_set(err, ERR_INTERNAL, "cannot digest an API key");
    return 0;
}

int api_key_make(struct api_key *ret_key, struct error *err)
{
    unsigned char bytes[PREFIX_BYTES + API_KEY_SECRET_BYTES];
    struct api_key key = {.text = ""};
    char secret[SECRET_LENGTH + 1];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set_errno(err, errno, "cannot make an API key");
    for (size_t i = 0; i < PREFIX_BYTES; i++)
        (void)snprintf(key.prefix + 2 * i, 3, "%02x", bytes[i]);
    base64url_encode(bytes + PREFIX_BYTES, API_KEY_SECRET_BYTES, secret);
    (void)snprintf(key.text, sizeof(key.text), API_KEY_START "%s_%s", key.prefix, secret);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    OPENSSL_cleanse(secret, sizeof(secret));
    if (hash_text(&key, err) < 0)
        return -1;
    *ret_key = key;
    return 0;
}

bool api_key_parse(const char *text, struct api_key *ret_key)
{
    unsigned char secret[API_KEY_SECRET_BYTES];
    struct api_key key = {.text = ""};
    const char *prefix = text + START_LENGTH;
    size_t size;

    if (strnlen(text, API_KEY_TEXT_SIZE) != API_KEY_TEXT_SIZE - 1 ||
        memcmp(text, API_KEY_START, START_LENGTH) != 0 ||
        strspn(prefix, "0123456789abcdef") != PREFIX_LENGTH || prefix[PREFIX_LENGTH] != '_' ||
        !base64url_decode(prefix + PREFIX_LENGTH + 1, SECRET_LENGTH, secret, sizeof(secret), &size))
        return false;
    memcpy(key.text, text, API_KEY_TEXT_SIZE);
    memcpy(key.prefix, prefix, PREFIX_LENGTH);
    if (hash_text(&key, NULL) < 0)
        return false;
    *ret_key = key;
    return true;
}

void api_key_wipe(struct api_key *key)
{
    OPENSSL_cleanse(key, sizeof(*key));
}
