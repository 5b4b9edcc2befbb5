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

struct part {
    const char *text;
    size_t size;
};

struct parts {
    struct part header;
    struct part claims;
    struct part signature;
};

static int refuse(struct error *err, const char *why)
{
    (void)error_set(err, ERR_UNAUTHENTICATED, "%s", why);
    return -1;
}

/* Exactly three parts; an empty one fails later, as JSON or as a signature. */
static int split(const char *token, size_t size, struct parts *ret_parts, struct error *err)
{
    const char *first = memchr(token, '.', size);
    const char *second = first ? memchr(first + 1, '.', size - (size_t)(first + 1 - token)) : NULL;

    if (!second)
        return refuse(err, "the token has not three parts");
    ret_parts->header = (struct part){token, (size_t)(first - token)};
    ret_parts->claims = (struct part){first + 1, (size_t)(second - first) - 1};
    ret_parts->signature = (struct part){second + 1, size - (size_t)(second + 1 - token)};
    if (memchr(ret_parts->signature.text, '.', ret_parts->signature.size))
        return refuse(err, "the token has not three parts");
    return 0;
}

/* Bounded, strict, without duplicate members: json_parse sees to it. */
static int parse_object(struct part part, cJSON **ret_object, struct error *err)
{
    _cleanup_free_ char *text = malloc(BASE64URL_DECODED_MAX(part.size));
    _cleanup_cjson_ cJSON *object = NULL;
    size_t size;

    if (!text)
        return error_set(err, ERR_INTERNAL, "out of memory");
    if (!base64url_decode(part.text, part.size, text, BASE64URL_DECODED_MAX(part.size), &size))
        return refuse(err, "a part of the token is not base64url");
    if (json_parse(text, size, &object, NULL) < 0 || !cJSON_IsObject(object))
        return refuse(err, "a part of the token is not a JSON object");
    *ret_object = TAKE_PTR(object);
    return 0;
}

/* Only an algorithm that has a key, by its exact name. */
static int find_algorithm(const struct auth_keys *keys, const cJSON *header,
                          enum auth_algorithm *ret_algorithm, struct error *err)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(header, "alg"));

    for (size_t i = 0; name && i < AUTH_ALGORITHM_COUNT; i++)
        if (keys->of[i].bytes && strcmp(algorithms[i].name, name) == 0) {
            *ret_algorithm = (enum auth_algorithm)i;
            return 0;
        }
    return refuse(err, "the token's algorithm is not configured");
}

static int check_header(const cJSON *header, struct error *err)
{
    /* RFC 7515 section 4.1: where a key may come from, and what must be understood. */
    static const char *const forbidden[] = {"crit", "jku", "jwk", "x5u", "x5c"};
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(header, "typ");

    for (size_t i = 0; i < ARRAY_SIZE(forbidden); i++)
        if (cJSON_GetObjectItemCaseSensitive(header, forbidden[i]))
            return refuse(err, "the token's header has a member that is not allowed");
    /*
     * RFC 8725 section 3.11: a token that is typed for another purpose is refused. RFC 7519 lets
     * issuers leave the type out; at+jwt (RFC 9068) is beyond libjwt 1, which takes JWT alone.
     */
    if (type && (!cJSON_IsString(type) || strcmp(type->valuestring, "JWT") != 0))
        return refuse(err, "the token's type is not JWT");
    return 0;
}

/* One encoding only, and the length that the algorithm has: libjwt decodes leniently. */
static int check_signature_form(struct part signature, const struct auth_key *key,
                                struct error *err)
{
    unsigned char bytes[2048]; /* RSA keys of up to 16384 bits */
    size_t size;

    if (!base64url_decode(signature.text, signature.size, bytes, sizeof(bytes), &size) ||
        size != key->signature_size)
        return refuse(err, "the token's signature is malformed");
    return 0;
}

static int check_signature(const char *token, const struct auth_key *key, jwt_alg_t algorithm,
                           struct error *err)
{
    _cleanup_(cleanup_jwt) jwt_t *jwt = NULL;

    /* A NULL key would make libjwt accept anything. */
    if (!key->bytes || key->size == 0 ||
        jwt_decode(&jwt, token, (const unsigned char *)key->bytes, (int)key->size) != 0 ||
        jwt_get_alg(jwt) != algorithm)
        return refuse(err, "the token's signature is wrong");
    return 0;
}

/* Sets `ret_time` to the claim, or leaves it. Fails for what is no sane time. */
static int read_time(const cJSON *claims, const char *name, double *ret_time, struct error *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(claims, name);

    if (!value)
        return 0;
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble) || value->valuedouble < 0 ||
        value->valuedouble > TIME_MAX_SECONDS)
        return refuse(err, "a time in the token is malformed");
    *ret_time = value->valuedouble;
    return 0;
}

static int check_times(const cJSON *claims, const struct auth_policy *policy, int64_t now,
                       int64_t *ret_expires_at, struct error *err)
{
    double leeway = (double)policy->leeway_seconds;
    double expires = -1;
    double not_before = 0;
    double issued = 0;

    if (read_time(claims, "exp", &expires, err) < 0 ||
        read_time(claims, "nbf", &not_before, err) < 0 ||
        read_time(claims, "iat", &issued, err) < 0)
        return -1;
    if (expires < 0)
        return refuse(err, "the token has no expiry");
    if ((double)now >= expires + leeway)
        return refuse(err, "the token has expired");
    if ((double)now < not_before - leeway || (double)now < issued - leeway)
        return refuse(err, "the token is not valid yet");
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

static int check_parties(const cJSON *claims, const struct auth_policy *policy, struct error *err)
{
    const char *issuer = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(claims, "iss"));

    if (!issuer || strcmp(issuer, policy->issuer) != 0)
        return refuse(err, "the token's issuer is another one");
    if (!names_audience(cJSON_GetObjectItemCaseSensitive(claims, "aud"), policy->audience))
        return refuse(err, "the token is for another audience");
    return 0;
}

/* Copies a string claim of at most `max` bytes; control characters could forge log lines. */
static int copy_text(const cJSON *value, size_t max, char *ret_text, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    size_t size = text ? strlen(text) : 0;

    if (!text || size > max)
        return refuse(err, "a claim has the wrong type or length");
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return refuse(err, "a claim holds a control character");
    memcpy(ret_text, text, size + 1);
    return 0;
}

static int read_tenant(const cJSON *claims, struct id *ret_tenant, struct error *err)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(claims, "tenant");
    const char *text = value ? cJSON_GetStringValue(value) : AUTH_DEFAULT_TENANT;

    if (!text || !id_parse(text, ret_tenant))
        return refuse(err, "the token's tenant is not an id");
    return 0;
}

static int read_identity(const cJSON *claims, struct auth_identity *identity, struct error *err)
{
    const cJSON *subject = cJSON_GetObjectItemCaseSensitive(claims, "sub");
    const cJSON *scope = cJSON_GetObjectItemCaseSensitive(claims, "scope");

    if (copy_text(subject, AUTH_SUBJECT_MAX, identity->subject, err) < 0)
        return -1;
    if (identity->subject[0] == '\0')
        return refuse(err, "the token's subject is empty");
    if (scope && copy_text(scope, AUTH_SCOPE_MAX, identity->scope, err) < 0)
        return -1;
    return read_tenant(claims, &identity->tenant, err);
}

/* libjwt takes C strings; the token may be a part of a longer text. */
static int check_signed(const char *token, size_t size, const struct parts *parts,
                        const struct auth_keys *keys, struct error *err)
{
    _cleanup_cjson_ cJSON *header = NULL;
    _cleanup_free_ char *copy = NULL;
    enum auth_algorithm algorithm = AUTH_HS256;

    if (parse_object(parts->header, &header, err) < 0 ||
        find_algorithm(keys, header, &algorithm, err) < 0 || check_header(header, err) < 0 ||
        check_signature_form(parts->signature, &keys->of[algorithm], err) < 0)
        return -1;
    copy = strndup(token, size);
    if (!copy)
        return error_set(err, ERR_INTERNAL, "out of memory");
    return check_signature(copy, &keys->of[algorithm], algorithms[algorithm].jwt, err);
}

int auth_token_verify(const struct auth_keys *keys, const struct auth_policy *policy,
                      const char *token, size_t size, int64_t now,
                      struct auth_identity *ret_identity, struct error *err)
{
    _cleanup_cjson_ cJSON *claims = NULL;
    struct auth_identity identity = {0};
    struct parts parts = {0};

    if (size > AUTH_TOKEN_MAX || memchr(token, '\0', size))
        return refuse(err, "the token is too long or holds NUL");
    if (split(token, size, &parts, err) < 0 || check_signed(token, size, &parts, keys, err) < 0 ||
        parse_object(parts.claims, &claims, err) < 0 ||
        check_times(claims, policy, now, &identity.expires_at, err) < 0 ||
        check_parties(claims, policy, err) < 0 || read_identity(claims, &identity, err) < 0)
        return -1;
    *ret_identity = identity;
    return 0;
}
