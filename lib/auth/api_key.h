/*
 * The text of an API key: `atoll_<prefix>_<secret>`. The prefix (12 hex digits) finds it in the
 * database, the secret (32 random bytes) proves it. Only the SHA-256 of the whole text is stored:
 * of 256 random bits a plain hash gives nothing away.
 */
#ifndef LIB_AUTH_API_KEY_H
#define LIB_AUTH_API_KEY_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

#define API_KEY_START "atoll_"

enum {
    API_KEY_PREFIX_SIZE = 13, /* with NUL */
    API_KEY_SECRET_BYTES = 32,
    API_KEY_TEXT_SIZE = 63, /* with NUL */
    API_KEY_HASH_SIZE = 32,
};

struct api_key {
    char text[API_KEY_TEXT_SIZE];
    char prefix[API_KEY_PREFIX_SIZE];
    unsigned char hash[API_KEY_HASH_SIZE];
};

/* Makes a new key; fails only when the kernel gives no random bytes. Wipe it after use. */
int api_key_make(struct api_key *ret_key, struct error *err);

/* Takes a key's text. False when it has not exactly the form of one. */
bool api_key_parse(const char *text, struct api_key *ret_key);

/* Overwrites the text. */
void api_key_wipe(struct api_key *key);

#endif
