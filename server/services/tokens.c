#include "server/services/tokens.h"

#include "server/services/audit.h"

static int choose_scope(const struct caller *caller, const char *wished, const char **ret_scope,
                        struct error *err)
{
    enum role role = wished ? role_of_scope(wished) : caller->role;

    if (role == ROLE_NONE || role > caller->role)
        return error_set_field(err, ERR_NOT_POSSIBLE, "scope",
                               "'scope' must name a role of at most the key's, which is %s",
                               role_name(caller->role));
    *ret_scope = wished ? wished : role_name(role);
    return 0;
}

static int choose_project(const struct caller *caller, const struct id *wished,
                          struct token_grant *grant, struct error *err)
{
    if (wished && caller->has_project && !id_equal(wished, &caller->project))
        return error_set_field(err, ERR_NOT_POSSIBLE, "project_id",
                               "'project_id' must be the key's project");
    grant->has_project = wished || caller->has_project;
    if (grant->has_project)
        grant->project = wished ? *wished : caller->project;
    return 0;
}

int tokens_exchange(struct services *services, const struct caller *caller,
                    const struct token_wish *wish, struct token_grant *ret_grant, struct error *err)
{
    const struct token_maker *maker = services->token_maker;
    struct token_grant grant = {.token = NULL};
    struct token_order order = {
        .subject = caller->subject,
        .tenant = caller->tenant,
        .key = &caller->key,
        .lifetime_s = wish->lifetime_s,
    };

    if (!caller->is_key)
        return error_set(err, ERR_FORBIDDEN, "a token is given for an API key");
    if (choose_scope(caller, wish->scope, &grant.scope, err) < 0 ||
        choose_project(caller, wish->project, &grant, err) < 0)
        return -1;
    order.scope = grant.scope;
    order.project = grant.has_project ? &grant.project : NULL;
    if (maker->make(maker->user, &order, &grant.token, err) < 0)
        return -1;
    audit_record(services, &(struct audit_event){.tenant = caller->tenant,
                                                 .kind = "auth.token_made",
                                                 .actor = caller->subject,
                                                 .client = caller->client,
                                                 .request_id = caller->request_id});
    *ret_grant = grant;
    return 0;
}
