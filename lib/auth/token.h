/*
 * Bearer tokens: JWTs (RFC 7519) in compact form, made and checked.
 *
 * libjwt does the signatures and nothing else: it takes any audience, issuer and time, tokens that
 * sign themselves with a public key as a secret, duplicate members and `crit`. So header and claims
 * are bounded, parsed and checked here first, and the key is chosen by the configuration.
 *
 * Where there are several issuers, a token is opened, the issuer that it names chooses policy and
 * keys, and it is checked with those: what it says before that is only a claim.
 */
#ifndef LIB_AUTH_TOKEN_H
#define LIB_AUTH_TOKEN_H

#include "lib/auth/keys.h"
#include "lib/auth/reason.h"
#include "lib/json/json.h"

#include <atoll/id.h>
#include <atoll/role.h>
#include <stdint.h>

enum {
    AUTH_TOKEN_MAX = 8 * 1024,
    AUTH_SUBJECT_MAX = 255,
    AUTH_SCOPE_MAX = 511,
};

/* Who a request acts for. */
struct auth_identity {
    char subject[AUTH_SUBJECT_MAX + 1];
    struct id tenant;
    bool has_project; /* bound to one project of the tenant */
    struct id project;
    bool has_key; /* it came with an API key, or with a token made with one */
    bool is_key;  /* the API key itself came */
    struct id key;
    enum role role;
    char scope[AUTH_SCOPE_MAX + 1]; /* "" when the token has none */
    int64_t expires_at;             /* Unix seconds; INT64_MAX: never */
};

/* What tokens of an issuer must say, and what they may. */
struct auth_policy {
    const char *issuer;
    const char *audience;
    int64_t leeway_seconds; /* clock difference allowed for exp, nbf and iat */
    unsigned algorithms;    /* bits 1 << enum auth_algorithm; 0: every one that has a key */
    bool has_tenant;        /* the issuer speaks for this tenant alone */
    struct id tenant;
    enum role max_role; /* a higher role in the scope counts as this; ROLE_NONE: no limit */
    bool is_own;        /* the installation's own issuer: its claim `key` names an API key */
};

/* A part of a token's text. */
struct auth_token_part {
    const char *text;
    size_t size;
};

/* A token under check. Nothing in it is to be believed before auth_token_check. */
struct auth_token {
    const char *text; /* borrowed */
    size_t size;
    struct auth_token_part header_part;
    struct auth_token_part claims_part;
    struct auth_token_part signature_part;
    cJSON *header;
    cJSON *claims;
    enum auth_reason reason; /* after a failure with ERR_UNAUTHENTICATED: why */
};

/* Takes a token apart. Whether it succeeds or not, auth_token_close releases what it holds. */
int auth_token_open(struct auth_token *token, const char *text, size_t size, struct error *err);
void auth_token_close(struct auth_token *token);

/* The issuer that an open token names; NULL when it names none. */
const char *auth_token_issuer(const struct auth_token *token);

/* Checks an open token, as auth_token_verify does. `keys` may be NULL: every key is unknown. */
int auth_token_check(struct auth_token *token, const struct auth_keys *keys,
                     const struct auth_policy *policy, int64_t now,
                     struct auth_identity *ret_identity, struct error *err);

/*
 * Checks a token at the time `now` (Unix seconds). Fails with ERR_UNAUTHENTICATED; the message
 * says why and is for the log and tests, not for the client. Thread-safe.
 */
int auth_token_verify(const struct auth_keys *keys, const struct auth_policy *policy,
                      const char *token, size_t size, int64_t now,
                      struct auth_identity *ret_identity, struct error *err);

struct auth_claims {
    const char *subject;
    const struct id *tenant;  /* NULL: the default tenant */
    const struct id *project; /* NULL: all of the tenant */
    const struct id *key;     /* the API key it is made with, or NULL */
    const char *scope;        /* NULL: none */
    int64_t lifetime_seconds;
};

/*
 * Makes an HS256 token that auth_token_verify accepts under the same keys and policy. `ret_token`
 * is the caller's to free. ERR_NOT_SUPPORTED without an HS256 key.
 */
int auth_token_sign(const struct auth_keys *keys, const struct auth_policy *policy,
                    const struct auth_claims *claims, int64_t now, char **ret_token,
                    struct error *err);

#endif
