/*
 * What authentication asks of the rest of the server: API keys, the standing of tenants and keys,
 * and where refusals are noted. The services know; this folder does not know the services, so main
 * passes it the functions (server/identity.c). All of them are called by many threads at once.
 */
#ifndef SERVER_AUTH_DIRECTORY_H
#define SERVER_AUTH_DIRECTORY_H

#include "lib/auth/api_key.h"
#include "lib/auth/token.h"

enum { AUTH_SECRET_HASH_SIZE = 32 }; /* SHA-256 */

/* A stored API key. */
struct auth_stored_key {
    struct id id;
    struct id tenant;
    bool has_project;
    struct id project;
    enum role role;
    unsigned char hash[API_KEY_HASH_SIZE];
    int64_t expires_at; /* Unix seconds; INT64_MAX: never */
    bool is_expired;    /* by the database's clock */
    bool is_revoked;
};

/* A sandbox, as a check of its secret sees it. */
struct auth_executor {
    struct id tenant;
    struct id project;
    bool is_active; /* the tenant is */
    unsigned char secret_hash[AUTH_SECRET_HASH_SIZE];
};

/* What became of the tenant and key that an identity names. */
enum auth_standing {
    AUTH_STANDING_GOOD,
    AUTH_STANDING_NO_TENANT,
    AUTH_STANDING_SUSPENDED,
    AUTH_STANDING_NO_KEY, /* revoked, expired or deleted */
};

/* A refused request. The texts live as long as the call. */
struct auth_refusal {
    enum auth_reason reason;
    const struct auth_identity *identity; /* NULL: nothing about the caller is verified */
    const char *client;
    const char *request_id;
};

struct auth_directory {
    void *user; /* passed to each */
    /* ERR_NOT_FOUND when no key has the prefix. */
    int (*find_key)(void *user, const char *prefix, struct auth_stored_key *ret_key,
                    struct error *err);
    /* ERR_NOT_FOUND when there is no such sandbox. */
    int (*find_executor)(void *user, const struct id *sandbox, struct auth_executor *ret_executor,
                         struct error *err);
    /* May note that the key was used. Fails only when the database does. */
    int (*check_standing)(void *user, const struct auth_identity *identity,
                          enum auth_standing *ret_standing, struct error *err);
    /* Must not block. */
    void (*note_refusal)(void *user, const struct auth_refusal *refusal);
};

#endif
