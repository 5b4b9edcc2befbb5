#include "lib/auth/issuers.h"

#include "lib/base/address.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    REFRESH_DEFAULT_S = 300,
    REFETCH_DEFAULT_S = 30,
    MAX_AGE_DEFAULT_S = 24 * 3600,
    AGE_MAX_S = 30 * 24 * 3600,
};

/* One entry of the file. */
struct entry {
    const char *issuer;
    const char *audience;
    const cJSON *algorithms;
    const char *jwks_url;
    const char *jwks_ca_file;
    const char *jwks_file;
    const char *public_key_file;
    const char *hs256_key_file;
    struct id tenant;
    const char *max_role;
    int64_t refresh_s;
    int64_t refetch_s;
    int64_t max_age_s;
};

#define TEXT_FIELD(name_, member_, required_, about_)                                              \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_STRING, .required = (required_), .min = 1,              \
        .max = AUTH_ISSUER_TEXT_MAX, .offset = offsetof(struct entry, member_), .about = (about_)  \
    }
#define SECONDS_FIELD(name_, member_, max_, about_)                                                \
    {                                                                                              \
        .name = (name_), .type = JSON_TYPE_INTEGER, .min = 1, .max = (max_),                       \
        .offset = offsetof(struct entry, member_), .about = (about_)                               \
    }

static const struct json_field entry_fields[] = {
    TEXT_FIELD("issuer", issuer, true, "The `iss` of its tokens."),
    TEXT_FIELD("audience", audience, true, "The `aud` that its tokens must name."),
    {.name = "algorithms",
     .type = JSON_TYPE_STRINGS,
     .required = true,
     .min = 1,
     .max = AUTH_ALGORITHM_COUNT,
     .offset = offsetof(struct entry, algorithms),
     .about = "Which `alg` its tokens may have."},
    TEXT_FIELD("jwks_url", jwks_url, false, "Where its key set is published."),
    TEXT_FIELD("jwks_ca_file", jwks_ca_file, false,
               "A PEM file with the certificates that the URL's must come from."),
    TEXT_FIELD("jwks_file", jwks_file, false, "A file with its key set."),
    TEXT_FIELD("public_key_file", public_key_file, false, "A PEM file with its public key."),
    TEXT_FIELD("hs256_key_file", hs256_key_file, false, "A file with the secret it shares."),
    {.name = "tenant",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct entry, tenant),
     .about = "The one tenant that it speaks for."},
    {.name = "max_role",
     .type = JSON_TYPE_STRING,
     .choices = "viewer|member|admin|operator",
     .offset = offsetof(struct entry, max_role),
     .about = "The highest role that its tokens may give."},
    SECONDS_FIELD("refresh_seconds", refresh_s, AGE_MAX_S, "How often the URL is fetched."),
    SECONDS_FIELD("refetch_seconds", refetch_s, AGE_MAX_S,
                  "How often an unknown key id may cause a fetch."),
    SECONDS_FIELD("max_age_seconds", max_age_s, AGE_MAX_S,
                  "How long keys serve when fetches fail."),
};

struct file {
    const cJSON *issuers;
};

static const struct json_field file_fields[] = {
    {.name = "issuers",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .min = 1,
     .max = AUTH_ISSUERS_MAX,
     .offset = offsetof(struct file, issuers)},
};

/* `host` is that of a URL: an address of version 6 stands in brackets. */
static bool is_loopback(const char *host, size_t length)
{
    bool is_v6 = host[0] == '[';
    char name[INET6_ADDRSTRLEN];

    if (is_v6) {
        host++;
        length -= strlen("[]");
    }
    if (length >= sizeof(name))
        return false;
    memcpy(name, host, length);
    name[length] = '\0';
    return host_is_loopback(name) && is_v6 == (strchr(name, ':') != NULL);
}

bool auth_jwks_url_valid(const char *url)
{
    static const char https[] = "https://";
    static const char http[] = "http://";
    bool secure = strncmp(url, https, strlen(https)) == 0;
    const char *host;
    size_t length;

    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("\\#\"<>^`{|}", *c))
            return false;
    if (!secure && strncmp(url, http, strlen(http)) != 0)
        return false;
    host = url + strlen(secure ? https : http);
    length = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?");
    /* An authority of nothing but host and port: what we read is what libcurl reads. */
    if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") !=
            strcspn(host, "/?") ||
        length == 0 || length > strcspn(host, "/?"))
        return false;
    return secure || is_loopback(host, length);
}

static int wrong(const char *where, const char *field, const char *what, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s.%s' %s", where, field, what);
}

static int read_algorithms(const struct entry *entry, const char *where, unsigned *ret_algorithms,
                           struct error *err)
{
    static const char *const names[AUTH_ALGORITHM_COUNT] = {
        [AUTH_HS256] = "HS256", [AUTH_RS256] = "RS256", [AUTH_ES256] = "ES256"};
    unsigned algorithms = 0;
    const cJSON *name;

    cJSON_ArrayForEach(name, entry->algorithms)
    {
        unsigned found = 0;

        for (unsigned i = 0; i < AUTH_ALGORITHM_COUNT; i++)
            if (strcmp(names[i], name->valuestring) == 0)
                found = 1U << i;
        if (found == 0)
            return wrong(where, "algorithms", "must hold HS256, RS256 or ES256 only", err);
        algorithms |= found;
    }
    *ret_algorithms = algorithms;
    return 0;
}

/* A secret is for HS256 alone, a public key never for it: no key serves for two kinds. */
static int check_pairing(const struct auth_issuer *issuer, const char *where, struct error *err)
{
    bool symmetric = (issuer->algorithms & 1U << AUTH_HS256) != 0;
    bool asymmetric = (issuer->algorithms & ~(1U << AUTH_HS256)) != 0;

    if (issuer->source == AUTH_SOURCE_HS256_KEY_FILE ? asymmetric : symmetric)
        return wrong(where, "algorithms",
                     "must be [\"HS256\"] with an hs256_key_file, and without HS256 otherwise",
                     err);
    if (issuer->source == AUTH_SOURCE_JWKS_URL && !auth_jwks_url_valid(issuer->where))
        return wrong(where, "jwks_url",
                     "must be an https URL (http only for localhost, 127.0.0.0/8 and [::1])", err);
    return 0;
}

/* A private authority stands in for the system's only where there is a certificate to check. */
static int check_ca_file(const struct auth_issuer *issuer, const char *where, struct error *err)
{
    static const char https[] = "https://";

    if (issuer->ca_file && (issuer->source != AUTH_SOURCE_JWKS_URL ||
                            strncmp(issuer->where, https, strlen(https)) != 0))
        return wrong(where, "jwks_ca_file", "needs a jwks_url that is https", err);
    return 0;
}

static int read_source(const struct entry *entry, const char *where, struct auth_issuer *issuer,
                       const char **ret_text, struct error *err)
{
    const char *const texts[] = {
        [AUTH_SOURCE_JWKS_URL] = entry->jwks_url,
        [AUTH_SOURCE_JWKS_FILE] = entry->jwks_file,
        [AUTH_SOURCE_PUBLIC_KEY_FILE] = entry->public_key_file,
        [AUTH_SOURCE_HS256_KEY_FILE] = entry->hs256_key_file,
    };
    unsigned given = 0;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (!texts[i])
            continue;
        given++;
        issuer->source = (enum auth_key_source)i;
        *ret_text = texts[i];
    }
    if (given != 1)
        return error_set_field(err, ERR_INVALID_FIELD, where,
                               "'%s' needs one of jwks_url, jwks_file, public_key_file and "
                               "hs256_key_file",
                               where);
    return 0;
}

/* An issuer of one tenant has no say over the installation unless the file says so. */
static enum role max_role_of(const struct entry *entry, bool has_tenant)
{
    return entry->max_role ? role_of_scope(entry->max_role)
                           : (has_tenant ? ROLE_ADMIN : ROLE_OPERATOR);
}

static int read_entry(const cJSON *object, const char *where, struct auth_issuer *issuer,
                      struct error *err)
{
    struct entry entry = {.refresh_s = REFRESH_DEFAULT_S,
                          .refetch_s = REFETCH_DEFAULT_S,
                          .max_age_s = MAX_AGE_DEFAULT_S};
    const char *text = NULL;

    if (json_decode(object, entry_fields, ARRAY_SIZE(entry_fields), where, &entry, err) < 0 ||
        read_algorithms(&entry, where, &issuer->algorithms, err) < 0 ||
        read_source(&entry, where, issuer, &text, err) < 0)
        return -1;
    issuer->issuer = strdup(entry.issuer);
    issuer->audience = strdup(entry.audience);
    issuer->where = strdup(text);
    issuer->ca_file = entry.jwks_ca_file ? strdup(entry.jwks_ca_file) : NULL;
    if (!issuer->issuer || !issuer->audience || !issuer->where ||
        (entry.jwks_ca_file && !issuer->ca_file))
        return error_no_memory(err);
    issuer->has_tenant = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(object, "tenant"));
    issuer->tenant = entry.tenant;
    issuer->max_role = max_role_of(&entry, issuer->has_tenant);
    issuer->refresh_s = entry.refresh_s;
    issuer->refetch_s = entry.refetch_s;
    issuer->max_age_s = entry.max_age_s;
    if (check_pairing(issuer, where, err) < 0)
        return -1;
    return check_ca_file(issuer, where, err);
}

static int refuse_same_issuer(const struct auth_issuers *issuers, const char *where,
                              struct error *err)
{
    const struct auth_issuer *last = &issuers->items[issuers->count - 1];

    for (size_t i = 0; i + 1 < issuers->count; i++)
        if (strcmp(issuers->items[i].issuer, last->issuer) == 0)
            return wrong(where, "issuer", "is the issuer of an earlier entry too", err);
    return 0;
}

int auth_issuers_parse(const char *text, size_t size, struct auth_issuers **ret_issuers,
                       struct error *err)
{
    _cleanup_(cleanup_auth_issuers) struct auth_issuers *issuers = calloc(1, sizeof(*issuers));
    _cleanup_cjson_ cJSON *object = NULL;
    struct file file = {.issuers = NULL};
    const cJSON *entry;
    char where[32];

    if (!issuers)
        return error_no_memory(err);
    if (json_parse(text, size, &object, err) < 0 ||
        json_decode(object, file_fields, ARRAY_SIZE(file_fields), "", &file, err) < 0)
        return -1;
    cJSON_ArrayForEach(entry, file.issuers)
    {
        (void)snprintf(where, sizeof(where), "issuers[%zu]", issuers->count);
        if (read_entry(entry, where, &issuers->items[issuers->count++], err) < 0 ||
            refuse_same_issuer(issuers, where, err) < 0)
            return -1;
    }
    *ret_issuers = TAKE_PTR(issuers);
    return 0;
}

int auth_issuers_load(const char *path, struct auth_issuers **ret_issuers, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (read_file(AT_FDCWD, path, AUTH_ISSUERS_FILE_MAX, &text, &size, err) < 0 ||
        auth_issuers_parse(text, size, ret_issuers, err) < 0)
        return error_wrap(err, "the file of issuers `%s`", path);
    return 0;
}

void auth_issuer_done(struct auth_issuer *issuer)
{
    free(issuer->issuer);
    free(issuer->audience);
    free(issuer->where);
    free(issuer->ca_file);
    *issuer = (struct auth_issuer){.issuer = NULL};
}

void auth_issuers_free(struct auth_issuers *issuers)
{
    if (!issuers)
        return;
    for (size_t i = 0; i < issuers->count; i++)
        auth_issuer_done(&issuers->items[i]);
    free(issuers);
}
