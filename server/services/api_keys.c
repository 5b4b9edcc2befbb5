#include "server/services/api_keys.h"

#include <time.h>

static int check_wish(const struct caller *caller, const struct api_key_wish *wish,
                      struct error *err)
{
    if (wish->role > caller->role)
        return error_set_field(err, ERR_NOT_POSSIBLE, "role", "'role' must be at most yours, %s",
                               role_name(caller->role));
    if (wish->project && caller->has_project && !id_equal(wish->project, &caller->project))
        return error_set_field(err, ERR_NOT_POSSIBLE, "project_id",
                               "'project_id' names no project");
    if (wish->expires_usec != 0 && wish->expires_usec / 1000000 <= time(NULL))
        return error_set_field(err, ERR_NOT_POSSIBLE, "expires_at",
                               "'expires_at' must be in the future");
    return 0;
}

int api_keys_create(struct services *services, const struct caller *caller,
                    const struct api_key_wish *wish, struct store_api_key *ret_key,
                    struct api_key *ret_secret, struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);
    _cleanup_(api_key_wipe) struct api_key secret;
    struct store_api_key_new key = {
        .name = wish->name,
        .prefix = secret.prefix,
        .hash = secret.hash,
        .role = wish->role,
        .project = wish->project,
        .expires_usec = wish->expires_usec,
    };

    if (!key.project && caller->has_project)
        key.project = &caller->project;
    if (check_wish(caller, wish, err) < 0 || caller_new_id(caller, &key.id, err) < 0 ||
        api_key_make(&secret, err) < 0 ||
        store_api_key_insert(services->db, &scope, &key, &origin, ret_key, err) < 0)
        return -1;
    *ret_secret = secret;
    return 0;
}

int api_keys_get(struct services *services, const struct caller *caller, const struct id *id,
                 struct store_api_key *ret_key, struct error *err)
{
    struct db_scope scope = caller_scope(caller);

    return store_api_key_get(services->db, &scope, id, ret_key, err);
}

int api_keys_list(struct services *services, const struct caller *caller, unsigned limit,
                  const struct id *cursor, struct store_api_keys *ret_keys, bool *ret_more,
                  struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_api_keys keys;

    /* One more than asked for tells whether there is another page. */
    if (store_api_key_list(services->db, &scope, limit + 1, cursor, &keys, err) < 0)
        return -1;
    *ret_more = keys.count > limit;
    if (*ret_more)
        store_api_key_done(&keys.items[--keys.count]);
    *ret_keys = keys;
    return 0;
}

int api_keys_revoke(struct services *services, const struct caller *caller, const struct id *id,
                    struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_origin origin = caller_origin(caller);

    return store_api_key_revoke(services->db, &scope, id, &origin, err);
}
