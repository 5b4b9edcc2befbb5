/*
 * The file of issuers (auth.issuers_file): who else may make tokens, for which audience, with which
 * algorithms, and where their keys are. It is JSON:
 *
 *     {"issuers": [{"issuer": "https://id.example.com", "audience": "atoll",
 *                   "algorithms": ["RS256"], "jwks_url": "https://id.example.com/keys"}]}
 *
 * docs/authentication.md describes the fields; the table in issuers.c declares them.
 */
#ifndef LIB_AUTH_ISSUERS_H
#define LIB_AUTH_ISSUERS_H

#include "lib/auth/keys.h"

#include <atoll/id.h>
#include <atoll/role.h>
#include <stdint.h>

enum { AUTH_ISSUERS_MAX = 32, AUTH_ISSUERS_FILE_MAX = 64 * 1024, AUTH_ISSUER_TEXT_MAX = 1024 };

/* Where an issuer's keys are: exactly one. */
enum auth_key_source {
    AUTH_SOURCE_JWKS_URL,
    AUTH_SOURCE_JWKS_FILE,
    AUTH_SOURCE_PUBLIC_KEY_FILE,
    AUTH_SOURCE_HS256_KEY_FILE,
};

struct auth_issuer {
    char *issuer;
    char *audience;
    unsigned algorithms; /* bits 1 << enum auth_algorithm */
    enum auth_key_source source;
    char *where;   /* the URL or path */
    char *ca_file; /* certificates that the URL's must come from; NULL: the system's */
    bool has_tenant;
    struct id tenant;
    enum role max_role;
    int64_t refresh_s; /* a URL is fetched so often, */
    int64_t refetch_s; /* because of an unknown key id at most so often, */
    int64_t max_age_s; /* and its keys serve so long after the last success */
};

struct auth_issuers {
    struct auth_issuer items[AUTH_ISSUERS_MAX];
    size_t count;
};

/* Reads the file. Errors name it, the entry and the field. Released with auth_issuers_free. */
int auth_issuers_load(const char *path, struct auth_issuers **ret_issuers, struct error *err);

/* The same from text. */
int auth_issuers_parse(const char *text, size_t size, struct auth_issuers **ret_issuers,
                       struct error *err);

/* NULL is allowed. */
void auth_issuers_free(struct auth_issuers *issuers);

DEFINE_CLEANUP(struct auth_issuers *, auth_issuers, auth_issuers_free)

/* Frees the strings of one. */
void auth_issuer_done(struct auth_issuer *issuer);

/*
 * True for an https URL, or an http URL of this machine (localhost, 127.0.0.0/8, [::1]), with a
 * host and without user, fragment, space or control character.
 */
bool auth_jwks_url_valid(const char *url);

#endif
