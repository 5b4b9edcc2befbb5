#include "cli/token.h"

#include "cli/verb_functions.h"
#include "lib/auth/token.h"
#include "lib/base/util.h"
#include <atoll/role.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TTL_DEFAULT = 3600, TTL_MAX = 10 * 365 * 24 * 3600 };

struct token_request {
    struct auth_claims claims;
    struct id tenant;
    struct id project;
};

static int sign(const struct config *config, const struct auth_claims *claims, char **ret_token,
                struct error *err)
{
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = NULL;
    struct auth_key_files files = {.hs256 = config->auth_hs256_key_file};
    struct auth_policy policy = {
        .issuer = config->auth_issuer,
        .audience = config->auth_audience,
        .leeway_seconds = config->auth_leeway_s,
    };

    if (config->auth_hs256_key_file[0] == '\0')
        return error_set(err, ERR_BAD_REQUEST,
                         "tokens are signed with auth.hs256_key_file, which "
                         "is not set");
    if (auth_keys_load(&files, &keys, err) < 0)
        return -1;
    return auth_token_sign(keys, &policy, claims, (int64_t)time(NULL), ret_token, err);
}

int token_make(const struct config *config, int64_t ttl_seconds, char **ret_token,
               struct error *err)
{
    struct auth_claims claims = {.subject = "operator", .lifetime_seconds = ttl_seconds};

    return sign(config, &claims, ret_token, err);
}

int token_make_operator(const struct config *config, int64_t ttl_seconds, char **ret_token,
                        struct error *err)
{
    struct auth_claims claims = {
        .subject = "operator", .scope = "operator", .lifetime_seconds = ttl_seconds};

    return sign(config, &claims, ret_token, err);
}

static int take_option(struct token_request *request, const char *option, const char *value,
                       struct error *err)
{
    uint64_t ttl;

    if (strcmp(option, "--sub") == 0) {
        request->claims.subject = value;
    } else if (strcmp(option, "--scope") == 0) {
        if (role_of_scope(value) == ROLE_NONE)
            return error_set(err, ERR_BAD_REQUEST,
                             "--scope needs viewer, member, admin or operator");
        request->claims.scope = value;
    } else if (strcmp(option, "--tenant") == 0) {
        if (!id_parse(value, &request->tenant))
            return error_set(err, ERR_BAD_REQUEST, "--tenant needs an id (32 hex digits)");
        request->claims.tenant = &request->tenant;
    } else if (strcmp(option, "--project") == 0) {
        if (!id_parse(value, &request->project))
            return error_set(err, ERR_BAD_REQUEST, "--project needs an id (32 hex digits)");
        request->claims.project = &request->project;
    } else { /* --ttl */
        if (!parse_u64(value, TTL_MAX, &ttl) || ttl == 0)
            return error_set(err, ERR_BAD_REQUEST, "--ttl needs 1 to %d seconds", TTL_MAX);
        request->claims.lifetime_seconds = (int64_t)ttl;
    }
    return 0;
}

int cli_token(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    struct token_request request = {
        .claims = {.subject = "operator", .lifetime_seconds = TTL_DEFAULT},
    };
    _cleanup_free_ char *token = NULL;

    for (size_t i = 0; i < arguments->option_count; i++)
        if (take_option(&request, arguments->options[i]->name, arguments->values[i], err) < 0)
            return -1;
    if (sign(&cli->config, &request.claims, &token, err) < 0)
        return -1;
    (void)puts(token);
    return CLI_OK;
}
