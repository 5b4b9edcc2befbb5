/*
 * The secret of each sandbox, by which a client without a tenant's credential acts inside it
 * (docs/api/executor.md): SANDBOX_SECRET of its environment, where that is set, else one that is
 * derived from the installation's key and the sandbox's id, and so is stored nowhere.
 */
#ifndef SERVER_SERVICES_EXECUTORS_H
#define SERVER_SERVICES_EXECUTORS_H

#include "server/services/services.h"

#define EXECUTORS_SECRET_VARIABLE "SANDBOX_SECRET"

enum {
    EXECUTORS_SECRET_SIZE = 65, /* 64 hex digits and a NUL */
    EXECUTORS_HASH_SIZE = CALLER_SECRET_HASH_SIZE,
};

struct executors;

int executors_create(struct executors **ret_executors, struct error *err);
void executors_free(struct executors *executors); /* NULL is allowed */

/* Gets the key from PostgreSQL, unless it is there: the next then does not depend on that. */
int executors_prepare(struct services *services, struct error *err);

/* Whether an environment, as JSON, names the secret. */
bool executors_is_chosen(const char *env_json);

/* The derived secret of a sandbox. */
int executors_secret(struct services *services, const struct id *sandbox,
                     char ret_secret[static EXECUTORS_SECRET_SIZE], struct error *err);

enum {
    EXECUTORS_PIECE = 64 * 1024,               /* of memory */
    EXECUTORS_PIECES = 768 * 16,               /* for large answers of all executors together */
    EXECUTORS_PIECES_OF_TENANT = 768 * 16 / 2, /* of them */
};

/* Takes pieces of memory for large answers of a tenant's executors; false when they are used up.
 * Whoever took them gives them back. */
bool executors_take_memory(struct services *services, const struct id *tenant, unsigned pieces);
void executors_give_memory(struct services *services, const struct id *tenant, unsigned pieces);

/* Takes memory, in bytes, for output that waits in streams of executors while a long line goes out,
 * of which there is so much for all of them together. */
#define EXECUTORS_WAITING ((size_t)64 << 20)
bool executors_take_waiting(struct services *services, size_t size);
void executors_give_waiting(struct services *services, size_t size);

/* Whose a sandbox is, and the hash of its secret. */
struct executor_place {
    struct id tenant;
    struct id project;
    bool is_active; /* the tenant is */
    unsigned char secret_hash[EXECUTORS_HASH_SIZE];
};

/* ERR_NOT_FOUND when there is no such sandbox. */
int executors_find(struct services *services, const struct id *sandbox,
                   struct executor_place *ret_place, struct error *err);

/* Whether a secret still opens its sandbox. While PostgreSQL is away nothing is known against it.
 */
bool executors_is_good(struct services *services, const struct caller_secret *secret);

#endif
