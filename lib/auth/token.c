#include "lib/auth/token.h"

#include "lib/auth/base64url.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <atoll/tenant.h>
#include <jwt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    jwt_alg_t jwt;
} algorithms[AUTH_ALGORITHM_COUNT] = {
    [AUTH_HS256] = {"HS256", JWT_ALG_HS256},
    [AUTH_RS256] = {"RS256", JWT_ALG_RS256},
    [AUTH_ES256] = {"ES256", JWT_ALG_ES256},
};

/* 2^53: the whole numbers that a double holds. */
#define TIME_MAX_SECONDS 9007199254740992.0

DEFINE_CLEANUP(jwt_t *, jwt, jwt_free)

static int refuse(struct auth_token *token, enum auth_reason reason, struct error *err,
                  const char *why)
{
    token->reason = reason;
    (void)error_set(err, ERR_UNAUTHENTICATED, "%s", why);
    return -1;
}

/* Exactly three parts; an empty one fails later, as JSON or as a signature. */
static int split(struct auth_token *token, struct error *err)
{
    const char *text = token->text;
    size_t size = token->size;
    const char *first = memchr(text, '.', size);
    const char *second = first ? memchr(first + 1, '.', size - (size_t)(first + 1 - text)) : NULL;

    if (!second)
        return refuse(token, AUTH_MALFORMED, err, "the token has not three parts");
    token->header_part = (struct auth_token_part){text, (size_t)(first - text)};
    token->claims_part = (struct auth_token_part){first + 1, (size_t)(second - first) - 1};
    token->signature_part =
        (struct auth_token_part){second + 1, size - (size_t)(second + 1 - text)};
    if (memchr(token->signature_part.text, '.', token->signature_part.size))
        return refuse(token, AUTH_MALFORMED, err, "the token has not three parts");
    return 0;
}

/* Bounded, strict, without duplicate members: json_parse sees to it. */
static int parse_object(struct auth_token *token, struct auth_token_part part, cJSON **ret_object,
                        struct error *err)
{
    _cleanup_free_ char *text = malloc(BASE64URL_DECODED_MAX(part.size));
    _cleanup_cjson_ cJSON *object = NULL;
    size_t size;

    if (!text)
        return error_no_memory(err);
    if (!base64url_decode(part.text, part.size, text, BASE64URL_DECODED_MAX(part.size), &size))
        return refuse(token, AUTH_MALFORMED, err, "a part of the token is not base64url");
    if (json_parse(text, size, &object, NULL) < 0 || !cJSON_IsObject(object))
        return refuse(token, AUTH_MALFORMED, err, "a part of the token is not a JSON object");
    *ret_object = TAKE_PTR(object);
    return 0;
}

int auth_token_open(struct auth_token *token, const char *text, size_t size, struct error *err)
{
    *token = (struct auth_token){.text = text, .size = size};
    if (size > AUTH_TOKEN_MAX || memchr(text, '\0', size))
        return refuse(token, AUTH_MALFORMED, err, "the token is too long or holds NUL");
    if (split(token, err) < 0 || parse_object(token, token->header_part, &token->header, err) < 0 ||
        parse_object(token, token->claims_part, &token->claims, err) < 0)
        return -1;
    return 0;
}

void auth_token_close(struct auth_token *token)
{
    cJSON_Delete(token->header);
    cJSON_Delete(token->claims);
    *token = (struct auth_token){.text = NULL};
}

const char *auth_token_issuer(const struct auth_token *token)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token->claims, "iss"));
}

static bool keys_have(const struct auth_keys *keys, enum auth_algorithm algorithm)
{
    for (size_t i = 0; keys && i < keys->count; i++)
        if (keys->items[i].algorithm == algorithm)
            return true;
    return false;
}

/* Only an algorithm of the policy, by its exact name. */
static int find_algorithm(struct auth_token *token, const struct auth_keys *keys,
                          const struct auth_policy *policy, enum auth_algorithm *ret_algorithm,
                          struct error *err)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token->header, "alg"));

    for (unsigned i = 0; name && i < AUTH_ALGORITHM_COUNT; i++) {
        enum auth_algorithm algorithm = (enum auth_algorithm)i;
        bool allowed =
            policy->algorithms ? policy->algorithms >> i & 1 : keys_have(keys, algorithm);

        if (allowed && strcmp(algorithms[i].name, name) == 0) {
            *ret_algorithm = algorithm;
            return 0;
        }
    }
    return refuse(token, AUTH_WRONG_ALGORITHM, err, "the token's algorithm is not configured");
}

static int check_header(struct auth_token *token, struct error *err)
{
    /* RFC 7515 section 4.1: where a key may come from, and what must be understood. */
    static const char *const forbidden[] = {"crit", "jku", "jwk", "x5u", "x5c"};
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(token->header, "typ");

    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
        if (cJSON_GetObjectItemCaseSensitive(token->header, forbidden[i]))
            return refuse(token, AUTH_MALFORMED, err,
                          "the token's header has a member that is not allowed");
    /*
     * RFC 8725 section 3.11: a token that is typed for another purpose is refused. RFC 7519 lets
     * issuers leave the type out; at+jwt (RFC 9068) is beyond libjwt 1, which takes JWT alone.
     */
    if (type && (!cJSON_IsString(type) || strcmp(type->valuestring, "JWT") != 0))
        return refuse(token, AUTH_WRONG_TYPE, err, "the token's type is not JWT");
    return 0;
}

/* `kid` is only compared with the ids of the issuer's keys: it is no path, URL or query. */
static int find_key(struct auth_token *token, const struct auth_keys *keys,
                    enum auth_algorithm algorithm, const struct auth_key **ret_key,
                    struct error *err)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(token->header, "kid");

    if (id && !cJSON_IsString(id))
        return refuse(token, AUTH_MALFORMED, err, "the token's key id is not a string");
    *ret_key = keys ? auth_keys_find(keys, algorithm, cJSON_GetStringValue(id)) : NULL;
    if (!*ret_key)
        return refuse(token, AUTH_UNKNOWN_KEY, err, "the issuer has no such key");
    return 0;
}

/* One encoding only, and the length that the algorithm has: libjwt decodes leniently. */
static int check_signature_form(struct auth_token *token, const struct auth_key *key,
                                struct error *err)
{
    unsigned char bytes[AUTH_RSA_BITS_MAX / 8];
    size_t size;

    if (!base64url_decode(token->signature_part.text, token->signature_part.size, bytes,
                          sizeof(bytes), &size) ||
        size != key->signature_size)
        return refuse(token, AUTH_WRONG_SIGNATURE, err, "the token's signature is malformed");
    return 0;
}

/* libjwt takes C strings; the token may be a part of a longer text. */
static int check_signature(struct auth_token *token, const struct auth_key *key, struct error *err)
{
    _cleanup_(cleanup_jwt) jwt_t *jwt = NULL;
    _cleanup_free_ char *copy = strndup(token->text, token->size);

    if (!copy)
        return error_no_memory(err);
    /* A NULL key would make libjwt accept anything. */
    if (!key->bytes || key->size == 0 ||
        jwt_decode(&jwt, copy, (const unsigned char *)key->bytes, (int)key->size) != 0 ||
        jwt_get_alg(jwt) != algorithms[key->algorithm].jwt)
        return refuse(token, AUTH_WRONG_SIGNATURE, err, "the token's signature is wrong");
    return 0;
}

static int check_signed(struct auth_token *token, const struct auth_keys *keys,
                        const struct auth_policy *policy, struct error *err)
{
    const struct auth_key *key = NULL;
    enum auth_algorithm algorithm = AUTH_HS256;

    if (find_algorithm(token, keys, policy, &algorithm, err) < 0 || check_header(token, err) < 0 ||
        find_key(token, keys, algorithm, &key, err) < 0 ||
        check_signature_form(token, key, err) < 0)
        return -1;
    return check_signature(token, key, err);
}

/* Sets `ret_time` to the claim, or leaves it. Fails for what is no sane time. */
static int read_time(struct auth_token *token, const char *name, double *ret_time,
                     struct error *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(token->claims, name);

    if (!value)
        return 0;
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < 0 ||
        value->valuedouble > TIME_MAX_SECONDS)
        return refuse(token, AUTH_WRONG_CLAIM, err, "a time in the token is malformed");
    *ret_time = value->valuedouble;
    return 0;
}

static int check_times(struct auth_token *token, const struct auth_policy *policy, int64_t now,
                       int64_t *ret_expires_at, struct error *err)
{
    double leeway = (double)policy->leeway_seconds;
    double expires = -1;
    double not_before = 0;
    double issued = 0;

    if (read_time(token, "exp", &expires, err) < 0 ||
        read_time(token, "nbf", &not_before, err) < 0 || read_time(token, "iat", &issued, err) < 0)
        return -1;
    if (expires < 0)
        return refuse(token, AUTH_WRONG_CLAIM, err, "the token has no expiry");
    if ((double)now >= expires + leeway)
        return refuse(token, AUTH_EXPIRED, err, "the token has expired");
    if ((double)now < not_before - leeway || (double)now < issued - leeway)
        return refuse(token, AUTH_NOT_YET_VALID, err, "the token is not valid yet");
    *ret_expires_at = (int64_t)expires;
    return 0;
}

static bool names_audience(const cJSON *audience, const char *wanted)
{
    const cJSON *entry;
    bool found = false;

    if (cJSON_IsString(audience))
        return strcmp(audience->valuestring, wanted) == 0;
    if (!cJSON_IsArray(audience))
        return false;
    cJSON_ArrayForEach(entry, audience)
    {
        if (!cJSON_IsString(entry))
            return false;
        found |= strcmp(entry->valuestring, wanted) == 0;
    }
    return found;
}

static int check_parties(struct auth_token *token, const struct auth_policy *policy,
                         struct error *err)
{
    const char *issuer = auth_token_issuer(token);

    if (!issuer || strcmp(issuer, policy->issuer) != 0)
        return refuse(token, AUTH_WRONG_ISSUER, err, "the token's issuer is another one");
    if (!names_audience(cJSON_GetObjectItemCaseSensitive(token->claims, "aud"), policy->audience))
        return refuse(token, AUTH_WRONG_AUDIENCE, err, "the token is for another audience");
    return 0;
}

/* Copies a string claim of at most `max` bytes; control characters could forge log lines. */
static int copy_text(struct auth_token *token, const char *name, size_t max, char *ret_text,
                     struct error *err)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(token->claims, name));
    size_t size = text ? strlen(text) : 0;

    if (!text || size > max)
        return refuse(token, AUTH_WRONG_CLAIM, err, "a claim has the wrong type or length");
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return refuse(token, AUTH_WRONG_CLAIM, err, "a claim holds a control character");
    memcpy(ret_text, text, size + 1);
    return 0;
}

/* An id claim that may be absent. */
static int read_id(struct auth_token *token, const char *name, bool *ret_has, struct id *ret_id,
                   struct error *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(token->claims, name);
    const char *text = cJSON_GetStringValue(value);

    if (value && (!text || !id_parse(text, ret_id)))
        return refuse(token, AUTH_WRONG_CLAIM, err, "a claim that is an id has not the form");
    *ret_has = value != NULL;
    return 0;
}

static int read_tenant(struct auth_token *token, const struct auth_policy *policy,
                       struct id *ret_tenant, struct error *err)
{
    bool named = false;

    if (read_id(token, "tenant", &named, ret_tenant, err) < 0)
        return -1;
    if (named && policy->has_tenant && !id_equal(ret_tenant, &policy->tenant))
        return refuse(token, AUTH_WRONG_TENANT, err, "the issuer speaks for another tenant");
    if (policy->has_tenant)
        *ret_tenant = policy->tenant;
    else if (!named && !id_parse(AUTH_DEFAULT_TENANT, ret_tenant))
        return error_set(err, ERR_INTERNAL, "the default tenant is not an id");
    return 0;
}

static enum role limited_role(const char *scope, const struct auth_policy *policy)
{
    enum role role = role_of_scope(scope);

    return policy->max_role != ROLE_NONE && role > policy->max_role ? policy->max_role : role;
}

static int read_identity(struct auth_token *token, const struct auth_policy *policy,
                         struct auth_identity *identity, struct error *err)
{
    if (copy_text(token, "sub", AUTH_SUBJECT_MAX, identity->subject, err) < 0)
        return -1;
    if (identity->subject[0] == '\0')
        return refuse(token, AUTH_WRONG_CLAIM, err, "the token's subject is empty");
    if (cJSON_GetObjectItemCaseSensitive(token->claims, "scope") &&
        copy_text(token, "scope", AUTH_SCOPE_MAX, identity->scope, err) < 0)
        return -1;
    identity->role = limited_role(identity->scope, policy);
    if (policy->is_own && read_id(token, "key", &identity->has_key, &identity->key, err) < 0)
        return -1;
    if (read_id(token, "project", &identity->has_project, &identity->project, err) < 0)
        return -1;
    return read_tenant(token, policy, &identity->tenant, err);
}

int auth_token_check(struct auth_token *token, const struct auth_keys *keys,
                     const struct auth_policy *policy, int64_t now,
                     struct auth_identity *ret_identity, struct error *err)
{
    struct auth_identity identity = {0};

    if (check_signed(token, keys, policy, err) < 0 ||
        check_times(token, policy, now, &identity.expires_at, err) < 0 ||
        check_parties(token, policy, err) < 0 || read_identity(token, policy, &identity, err) < 0)
        return -1;
    *ret_identity = identity;
    return 0;
}

int auth_token_verify(const struct auth_keys *keys, const struct auth_policy *policy,
                      const char *token, size_t size, int64_t now,
                      struct auth_identity *ret_identity, struct error *err)
{
    _cleanup_(auth_token_close) struct auth_token opened;

    if (auth_token_open(&opened, token, size, err) < 0)
        return -1;
    return auth_token_check(&opened, keys, policy, now, ret_identity, err);
}
