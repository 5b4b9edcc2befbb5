#include "server/handlers/v1_token.h"

#include "lib/auth/token.h"
#include "lib/base/util.h"
#include "server/services/tokens.h"

struct token_body {
    int64_t lifetime_s;
    const char *scope;
    struct id project;
};

static const struct json_field request_fields[] = {
    {.name = "expires_in",
     .type = JSON_TYPE_INTEGER,
     .min = TOKEN_LIFETIME_MIN_S,
     .max = TOKEN_LIFETIME_MAX_S,
     .offset = offsetof(struct token_body, lifetime_s),
     .about = "Seconds that the token is good for; 900 when absent."},
    {.name = "scope",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = AUTH_SCOPE_MAX,
     .offset = offsetof(struct token_body, scope),
     .about = "Words separated by spaces, a role of at most the key's among them."},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct token_body, project),
     .about = "Binds the token to one project; a bound key's project is the only choice."},
};

const struct json_table token_request_table = JSON_TABLE("TokenRequest", request_fields);

struct token_view {
    const char *access_token;
    const char *token_type;
    int64_t expires_in;
    const char *scope;
    struct id project;
};

/* The names are those of RFC 6749 section 5.1. */
static const struct json_field token_fields[] = {
    {.name = "access_token",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = AUTH_TOKEN_MAX,
     .offset = offsetof(struct token_view, access_token)},
    {.name = "token_type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "Bearer",
     .offset = offsetof(struct token_view, token_type)},
    {.name = "expires_in",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = TOKEN_LIFETIME_MIN_S,
     .max = TOKEN_LIFETIME_MAX_S,
     .offset = offsetof(struct token_view, expires_in)},
    {.name = "scope",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = AUTH_SCOPE_MAX,
     .offset = offsetof(struct token_view, scope)},
    {.name = "project_id", .type = JSON_TYPE_ID, .offset = offsetof(struct token_view, project)},
};

const struct json_table token_table = JSON_TABLE("Token", token_fields);

/* Whether the body names a project: every id is one that might be meant. */
static bool names_project(const cJSON *body)
{
    return cJSON_IsString(cJSON_GetObjectItemCaseSensitive(body, "project_id"));
}

int handle_token_exchange(struct call *call, struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;
    _cleanup_free_ char *token = NULL;
    struct token_body wanted = {.lifetime_s = TOKEN_LIFETIME_DEFAULT_S};
    struct token_grant grant = {.token = NULL};
    struct token_wish wish;
    struct token_view view;

    if (call_json_body(call, true, &body, err) < 0 ||
        (body &&
         json_decode(body, request_fields, ARRAY_SIZE(request_fields), "", &wanted, err) < 0))
        return -1;
    wish = (struct token_wish){
        .scope = wanted.scope,
        .project = names_project(body) ? &wanted.project : NULL,
        .lifetime_s = wanted.lifetime_s,
    };
    if (tokens_exchange(call->services, &call->caller, &wish, &grant, err) < 0)
        return -1;
    token = grant.token;
    view = (struct token_view){
        .access_token = token,
        .token_type = "Bearer",
        .expires_in = wanted.lifetime_s,
        .scope = grant.scope,
        .project = grant.project,
    };
    return call_respond_json(call, 200, json_encode(&token_table, &view), err);
}
