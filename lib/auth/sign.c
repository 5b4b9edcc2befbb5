#include "lib/auth/token.h"

#include <jwt.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(jwt_t *, jwt, jwt_free)

static int check_claims(const struct auth_claims *claims, struct error *err)
{
    size_t subject = claims->subject ? strlen(claims->subject) : 0;

    if (subject == 0 || subject > AUTH_SUBJECT_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "subject", "a subject has 1 to %d bytes",
                               AUTH_SUBJECT_MAX);
    if (claims->scope && strlen(claims->scope) > AUTH_SCOPE_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "scope", "a scope has at most %d bytes",
                               AUTH_SCOPE_MAX);
    if (claims->lifetime_seconds <= 0)
        return error_set_field(err, ERR_INVALID_FIELD, "lifetime", "a lifetime is over 0 seconds");
    return 0;
}

static bool add_id(jwt_t *jwt, const char *name, const struct id *id)
{
    char text[ID_TEXT_SIZE];

    if (!id)
        return true;
    id_format(id, text);
    return jwt_add_grant(jwt, name, text) == 0;
}

/* libjwt returns 0 or an errno. */
static bool add_claims(jwt_t *jwt, const struct auth_policy *policy,
                       const struct auth_claims *claims, int64_t now)
{
    int64_t expires;

    if (__builtin_add_overflow(now, claims->lifetime_seconds, &expires) ||
        jwt_add_grant(jwt, "iss", policy->issuer) != 0 ||
        jwt_add_grant(jwt, "aud", policy->audience) != 0 ||
        jwt_add_grant(jwt, "sub", claims->subject) != 0 ||
        jwt_add_grant_int(jwt, "iat", now) != 0 || jwt_add_grant_int(jwt, "exp", expires) != 0)
        return false;
    if (claims->scope && jwt_add_grant(jwt, "scope", claims->scope) != 0)
        return false;
    return add_id(jwt, "tenant", claims->tenant) && add_id(jwt, "project", claims->project) &&
           add_id(jwt, "key", claims->key);
}

int auth_token_sign(const struct auth_keys *keys, const struct auth_policy *policy,
                    const struct auth_claims *claims, int64_t now, char **ret_token,
                    struct error *err)
{
    const struct auth_key *key = auth_keys_find(keys, AUTH_HS256, NULL);
    _cleanup_(cleanup_jwt) jwt_t *jwt = NULL;
    _cleanup_free_ char *token = NULL;
    struct auth_identity identity;

    if (!key)
        return error_set(err, ERR_NOT_SUPPORTED,
                         "tokens are made with an HS256 key; none is configured");
    if (check_claims(claims, err) < 0)
        return -1;
    if (jwt_new(&jwt) != 0 || !add_claims(jwt, policy, claims, now) ||
        jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)key->bytes, (int)key->size) != 0)
        return error_set(err, ERR_INTERNAL, "cannot make a token");
    token = jwt_encode_str(jwt);
    if (!token)
        return error_set(err, ERR_INTERNAL, "cannot make a token");
    /* What is handed out is what the service takes. */
    if (auth_token_verify(keys, policy, token, strlen(token), now, &identity, err) < 0)
        return error_wrap(err, "the token would not be accepted");
    *ret_token = TAKE_PTR(token);
    return 0;
}
