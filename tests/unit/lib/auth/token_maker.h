/* Makes keys and tokens of any content, right and wrong ones, without libjwt. */
#ifndef TESTS_UNIT_LIB_AUTH_TOKEN_MAKER_H
#define TESTS_UNIT_LIB_AUTH_TOKEN_MAKER_H

#include "lib/auth/keys.h"

#define MAKER_SECRET "0123456789abcdef0123456789abcdef"

struct maker {
    char folder[64];
    char hs256_path[96];
    char rs256_path[96];
    char es256_path[96];
    char *rsa_pem; /* the RSA public key's file content */
    void *rsa;
    void *ec;
};

/* Makes keys and puts the files into a folder of its own. Failures fail the test. */
void maker_create(struct maker *maker);
void maker_destroy(struct maker *maker);

/* Writes a file into the folder; `ret_path` has room for 96 bytes. */
void maker_file(const struct maker *maker, const char *name, const char *content, char *ret_path);

/* "header.claims.signature", signed as `how` says; the caller's to free. */
char *maker_sign(const struct maker *maker, enum auth_algorithm how, const char *header,
                 const char *claims);

/* The same with HMAC-SHA-256 and any key. */
char *maker_sign_hmac(const char *key, size_t key_size, const char *header, const char *claims);

/* "header.claims." */
char *maker_unsigned(const char *header, const char *claims);

#endif
