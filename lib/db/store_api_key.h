/*
 * API keys, and the standing of those who call: what authentication and the /v1/api-keys routes
 * need. For transactions and errors see db.h and store_sandbox.h.
 */
#ifndef LIB_DB_STORE_API_KEY_H
#define LIB_DB_STORE_API_KEY_H

#include "lib/db/db.h"
#include "lib/db/store_sandbox.h"

#include <atoll/role.h>

enum { STORE_KEY_PREFIX_SIZE = 13, STORE_KEY_HASH_SIZE = 32 };

/* A key as its tenant sees it. Times are Unix microseconds; 0: never, or not yet. */
struct store_api_key {
    struct id id;
    char *name;
    char prefix[STORE_KEY_PREFIX_SIZE];
    enum role role;
    bool has_project;
    struct id project;
    char *created_by; /* NULL: not known */
    int64_t created_usec;
    int64_t expires_usec;
    int64_t last_used_usec; /* to a minute */
};

void store_api_key_done(struct store_api_key *key);

struct store_api_keys {
    struct store_api_key *items;
    size_t count;
};

void store_api_keys_free(struct store_api_keys *keys);

/* A new key. */
struct store_api_key_new {
    struct id id;
    const char *name;
    const char *prefix;
    const unsigned char *hash; /* STORE_KEY_HASH_SIZE bytes */
    enum role role;
    const struct id *project; /* NULL: of the whole tenant */
    int64_t expires_usec;     /* 0: never */
};

/*
 * Stores a key with its event `admin.api_key_created`, durably. ERR_NOT_POSSIBLE (`project_id`)
 * when the scope has no such project.
 */
int store_api_key_insert(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_api_key_new *key, const struct store_origin *origin,
                         struct store_api_key *ret_key, struct error *err);

/* One that is not revoked; ERR_NOT_FOUND otherwise. */
int store_api_key_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct store_api_key *ret_key, struct error *err);

/* Those that are not revoked, the newest first, at most `limit`, older than `before` (or NULL). */
int store_api_key_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct store_api_keys *ret_keys, struct error *err);

/* Revokes, with the event `admin.api_key_revoked`, durably. ERR_NOT_FOUND when there is none. */
int store_api_key_revoke(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct store_origin *origin, struct error *err);

/* A key as authentication sees it, whosoever it is. */
struct store_found_key {
    struct id id;
    struct id tenant;
    bool has_project;
    struct id project;
    enum role role;
    unsigned char hash[STORE_KEY_HASH_SIZE];
    int64_t expires_usec; /* 0: never */
    bool is_expired;      /* by the database's clock */
    bool is_revoked;
};

/* The key of a prefix; ERR_NOT_FOUND when there is none. */
int store_api_key_find(struct db_pool *pool, const char *prefix, struct store_found_key *ret_key,
                       struct error *err);

/* What became of a caller's tenant and key. */
struct store_standing {
    bool tenant_exists;
    bool tenant_active;
    bool key_valid; /* true without a key */
};

/*
 * Looks at a tenant and, when `key` is not NULL, at a key of it, which counts as used: its
 * last_used_at moves when it is older than a minute.
 */
int store_standing_get(struct db_pool *pool, const struct id *tenant, const struct id *key,
                       struct store_standing *ret_standing, struct error *err);

#endif
