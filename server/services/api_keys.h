/* API keys of a tenant: made, listed, revoked. */
#ifndef SERVER_SERVICES_API_KEYS_H
#define SERVER_SERVICES_API_KEYS_H

#include "lib/auth/api_key.h"
#include "lib/db/store_api_key.h"
#include "server/services/services.h"

struct api_key_wish {
    const char *name;
    enum role role;
    const struct id *project; /* NULL: the caller's, or none */
    int64_t expires_usec;     /* Unix; 0: never */
};

/*
 * Makes a key, durably. `ret_secret` holds its text, which is not kept anywhere: wipe it after use.
 * ERR_NOT_POSSIBLE for a role above the caller's, a project that is not his, or an expiry that is
 * past. store_api_key_done releases *ret_key.
 */
int api_keys_create(struct services *services, const struct caller *caller,
                    const struct api_key_wish *wish, struct store_api_key *ret_key,
                    struct api_key *ret_secret, struct error *err);

int api_keys_get(struct services *services, const struct caller *caller, const struct id *id,
                 struct store_api_key *ret_key, struct error *err);

/* At most `limit`, older than `cursor` (or NULL); *ret_more when others follow. */
int api_keys_list(struct services *services, const struct caller *caller, unsigned limit,
                  const struct id *cursor, struct store_api_keys *ret_keys, bool *ret_more,
                  struct error *err);

/* Calls with the key, and with tokens made with it, are refused within auth.cache_seconds. */
int api_keys_revoke(struct services *services, const struct caller *caller, const struct id *id,
                    struct error *err);

#endif
