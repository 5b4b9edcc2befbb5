/*
 * Bearer tokens: JWTs (RFC 7519) in compact form, made and checked.
 *
 * libjwt does the signatures and nothing else: it takes any audience, issuer and time, tokens that
 * sign themselves with a public key as a secret, duplicate members and `crit`. So header and claims
 * are bounded, parsed and checked here first, and the key is chosen by the configuration.
 */
#ifndef LIB_AUTH_TOKEN_H
#define LIB_AUTH_TOKEN_H

#include "lib/auth/keys.h"

#include <atoll/id.h>
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
    char scope[AUTH_SCOPE_MAX + 1]; /* "" when the token has none */
    int64_t expires_at;             /* Unix seconds */
};

/* What tokens must say. */
struct auth_policy {
    const char *issuer;
    const char *audience;
    int64_t leeway_seconds; /* clock difference allowed for exp, nbf and iat */
};

/*
 * Checks a token at the time `now` (Unix seconds). Fails with ERR_UNAUTHENTICATED; the message
 * says why and is for the log and tests, not for the client. Thread-safe.
 */
int auth_token_verify(const struct auth_keys *keys, const struct auth_policy *policy,
                      const char *token, size_t size, int64_t now,
                      struct auth_identity *ret_identity, struct error *err);

struct auth_claims {
    const char *subject;
    const struct id *tenant; /* NULL: the default tenant */
    const char *scope;       /* NULL: none */
    int64_t lifetime_seconds;
};

/*
 * Makes an HS256 token that auth_token_verify accepts under the same keys and policy. `ret_token`
 * is the caller's to free.
 */
int auth_token_sign(const struct auth_keys *keys, const struct auth_policy *policy,
                    const struct auth_claims *claims, int64_t now, char **ret_token,
                    struct error *err);

#endif
