#include "server/identity.h"

#include "lib/db/store_api_key.h"
#include "server/services/audit.h"
#include "server/services/executors.h"

#include <string.h>

_Static_assert((int)STORE_KEY_HASH_SIZE == (int)API_KEY_HASH_SIZE, "one hash of API keys");
_Static_assert((int)STORE_KEY_PREFIX_SIZE == (int)API_KEY_PREFIX_SIZE, "one prefix of API keys");
_Static_assert((int)EXECUTORS_HASH_SIZE == (int)AUTH_SECRET_HASH_SIZE, "one hash of secrets");

static int find_key(void *user, const char *prefix, struct auth_stored_key *ret_key,
                    struct error *err)
{
    const struct services *services = user;
    struct store_found_key found;

    if (store_api_key_find(services->db, prefix, &found, err) < 0)
        return -1;
    *ret_key = (struct auth_stored_key){
        .id = found.id,
        .tenant = found.tenant,
        .has_project = found.has_project,
        .project = found.project,
        .role = found.role,
        .expires_at = found.expires_usec ? found.expires_usec / 1000000 : INT64_MAX,
        .is_expired = found.is_expired,
        .is_revoked = found.is_revoked,
    };
    memcpy(ret_key->hash, found.hash, sizeof(ret_key->hash));
    return 0;
}

static int find_executor(void *user, const struct id *sandbox, struct auth_executor *ret_executor,
                         struct error *err)
{
    struct executor_place place;

    if (executors_find(user, sandbox, &place, err) < 0)
        return -1;
    *ret_executor = (struct auth_executor){
        .tenant = place.tenant, .project = place.project, .is_active = place.is_active};
    memcpy(ret_executor->secret_hash, place.secret_hash, sizeof(ret_executor->secret_hash));
    return 0;
}

static int check_standing(void *user, const struct auth_identity *identity,
                          enum auth_standing *ret_standing, struct error *err)
{
    const struct services *services = user;
    struct store_standing standing;

    if (store_standing_get(services->db, &identity->tenant,
                           identity->has_key ? &identity->key : NULL, &standing, err) < 0)
        return -1;
    if (!standing.tenant_exists)
        *ret_standing = AUTH_STANDING_NO_TENANT;
    else if (!standing.key_valid)
        *ret_standing = AUTH_STANDING_NO_KEY;
    else
        *ret_standing = standing.tenant_active ? AUTH_STANDING_GOOD : AUTH_STANDING_SUSPENDED;
    return 0;
}

/* What the caller may not do is his tenant's to see; who he is not is the operators'. */
static void note_refusal(void *user, const struct auth_refusal *refusal)
{
    const struct services *services = user;
    const struct auth_identity *identity = refusal->identity;
    bool forbidden =
        refusal->reason == AUTH_MISSING_ROLE || refusal->reason == AUTH_SUSPENDED_TENANT;
    struct audit_event event = {
        .kind = forbidden ? "auth.forbidden" : "auth.failed",
        .reason = auth_reason_word(refusal->reason),
        .client = refusal->client,
        .request_id = refusal->request_id,
    };

    if (identity)
        event.actor = identity->subject;
    if (identity && refusal->reason != AUTH_UNKNOWN_TENANT)
        event.tenant = identity->tenant;
    audit_record(services, &event);
}

struct auth_directory identity_directory(struct services *services)
{
    return (struct auth_directory){
        .user = services,
        .find_key = find_key,
        .find_executor = find_executor,
        .check_standing = check_standing,
        .note_refusal = note_refusal,
    };
}

static int make_token(void *user, const struct token_order *order, char **ret_token,
                      struct error *err)
{
    const struct auth_claims claims = {
        .subject = order->subject,
        .tenant = &order->tenant,
        .project = order->project,
        .key = order->key,
        .scope = order->scope,
        .lifetime_seconds = order->lifetime_s,
    };

    return auth_issue_token(user, &claims, ret_token, err);
}

struct token_maker identity_token_maker(struct auth *auth)
{
    return (struct token_maker){.user = auth, .make = make_token};
}
