/*
 * What secrets of sandboxes are checked with (docs/api/executor.md). Neither call is scoped: who
 * comes with a secret has no tenant before it is checked. For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_EXECUTOR_H
#define LIB_DB_STORE_EXECUTOR_H

#include "lib/db/db.h"

enum { STORE_EXECUTOR_KEY_SIZE = 32, STORE_EXECUTOR_HASH_SIZE = 32 };

/* The installation's key, which never changes. */
int store_executor_key(struct db_pool *pool, unsigned char ret_key[static STORE_EXECUTOR_KEY_SIZE],
                       struct error *err);

/* A container as a check of its secret sees it. */
struct store_executor {
    struct id tenant;
    struct id project;
    bool is_active;  /* the tenant is */
    bool has_chosen; /* its environment names a secret, of which the next is the SHA-256 */
    unsigned char chosen_hash[STORE_EXECUTOR_HASH_SIZE];
};

/* ERR_NOT_FOUND when there is no such container. */
int store_executor_find(struct db_pool *pool, const struct id *sandbox,
                        struct store_executor *ret_executor, struct error *err);

#endif
