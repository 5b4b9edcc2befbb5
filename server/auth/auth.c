#include "server/auth/auth.h"

#include "server/auth/token_cache.h"

#include <arpa/inet.h>
#include <atoll/log.h>
#include <atoll/tenant.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct auth {
    bool off;
    struct auth_policy policy;
    struct auth_keys *keys;
    struct token_cache *cache;
    struct auth_identity anyone; /* for mode "off" */
};

bool auth_host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int create_off(struct auth *auth, const struct config *config, struct error *err)
{
    if (!auth_host_is_loopback(config->server_host))
        return error_set(err, ERR_INTERNAL,
                         "auth.mode = \"off\" needs a loopback server.host, not `%s`",
                         config->server_host);
    auth->off = true;
    auth->anyone = (struct auth_identity){.subject = "anyone", .expires_at = INT64_MAX};
    if (!id_parse(AUTH_DEFAULT_TENANT, &auth->anyone.tenant))
        return error_set(err, ERR_INTERNAL, "the default tenant is not an id");
    log_warn("AUTHENTICATION IS OFF: everybody on this machine may use the service");
    return 0;
}

static int create_jwt(struct auth *auth, const struct config *config, struct error *err)
{
    const struct auth_key_files files = {
        .hs256 = config->auth_hs256_key_file,
        .rs256 = config->auth_rs256_key_file,
        .es256 = config->auth_es256_key_file,
    };

    auth->policy = (struct auth_policy){
        .issuer = config->auth_issuer,
        .audience = config->auth_audience,
        .leeway_seconds = config->auth_leeway_s,
    };
    if (auth_keys_load(&files, &auth->keys, err) < 0)
        return -1;
    return token_cache_create(&auth->cache, err);
}

int auth_create(const struct config *config, struct auth **ret_auth, struct error *err)
{
    struct auth *auth = calloc(1, sizeof(*auth));
    int result;

    if (!auth)
        return error_set(err, ERR_INTERNAL, "out of memory");
    result = strcmp(config->auth_mode, "off") == 0 ? create_off(auth, config, err)
                                                   : create_jwt(auth, config, err);
    if (result < 0) {
        auth_destroy(auth);
        return -1;
    }
    *ret_auth = auth;
    return 0;
}

void auth_destroy(struct auth *auth)
{
    if (!auth)
        return;
    auth_keys_free(auth->keys);
    token_cache_destroy(auth->cache);
    free(auth);
}

const char *auth_bearer_token(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    const char *token;

    /* RFC 9110 section 11.1: the scheme's name is case-insensitive. */
    if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    token = authorization + sizeof(scheme) - 1;
    token += strspn(token, " ");
    return *token ? token : NULL;
}

static int verify(struct auth *auth, const char *token, struct auth_identity *ret_identity,
                  struct error *err)
{
    unsigned char digest[TOKEN_DIGEST_SIZE];
    size_t size = strlen(token);
    int64_t now = time(NULL);

    if (size > AUTH_TOKEN_MAX)
        return error_set(err, ERR_UNAUTHENTICATED, "the token is too long");
    if (!SHA256((const unsigned char *)token, size, digest))
        return error_set(err, ERR_INTERNAL, "cannot digest a token");
    if (token_cache_find(auth->cache, digest, now, ret_identity))
        return 0;
    if (auth_token_verify(auth->keys, &auth->policy, token, size, now, ret_identity, err) < 0)
        return -1;
    token_cache_store(auth->cache, digest, ret_identity);
    return 0;
}

static int authenticate(struct auth *auth, const struct http_request *request,
                        struct auth_identity *ret_identity, struct error *err)
{
    const char *authorization = http_request_header(request, "Authorization");
    const char *token = authorization ? auth_bearer_token(authorization) : NULL;

    if (http_request_header_count(request, "Authorization") > 1)
        return error_set(err, ERR_UNAUTHENTICATED, "Authorization came twice");
    if (!token)
        return error_set(err, ERR_UNAUTHENTICATED, "there is no bearer token");
    return verify(auth, token, ret_identity, err);
}

int auth_authenticate(struct auth *auth, struct http_request *request,
                      struct auth_identity *ret_identity, struct error *err)
{
    struct error why;

    if (auth->off) {
        *ret_identity = auth->anyone;
        return 0;
    }
    if (authenticate(auth, request, ret_identity, &why) == 0)
        return 0;
    if (why.code != ERR_UNAUTHENTICATED)
        return error_set(err, why.code, "%s", why.message);
    log_debug("request refused: %s", why.message);
    http_response_header(request, "WWW-Authenticate", "Bearer");
    return error_set(err, ERR_UNAUTHENTICATED, "a valid bearer token is needed");
}
