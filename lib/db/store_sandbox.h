/*
 * Sandboxes as tenants see them: stored definitions and their files. Every call is one transaction
 * in one round trip (two in the rare cases that docs/database.md names), bound to `scope` by
 * row-level security; a foreign sandbox is ERR_NOT_FOUND, as a missing one is. Changes of state
 * write their event in the same transaction. For the errors that all share see db.h.
 */
#ifndef LIB_DB_STORE_SANDBOX_H
#define LIB_DB_STORE_SANDBOX_H

#include "lib/db/db.h"

#include <atoll/id.h>
#include <atoll/sandbox.h>
#include <stdbool.h>

/* Bounds of a sandbox's files together; the schema has them too (sandbox_files_limit). */
enum { STORE_FILES_MAX = 10000, STORE_FILES_BYTES_MAX = 64 << 20 };

/* For the event rows: who asked. Either may be NULL. */
struct store_origin {
    const char *actor;
    const char *request_id;
};

/* How long a sandbox lives, in seconds of the database's clock. */
struct store_lifetime {
    uint32_t idle_timeout_s; /* without an execution */
    uint32_t max_lifetime_s; /* at all */
};

/*
 * Stores a definition under the new id `id`, in state stopped, durably. Two files of one path are
 * ERR_CONFLICT. ERR_FORBIDDEN when the tenant does not exist. The caller frees the record.
 */
int store_sandbox_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct sandbox_definition *definition,
                         const struct store_lifetime *lifetime, const struct store_origin *origin,
                         struct sandbox_record *ret_record, struct error *err);

/* The caller frees the record. */
int store_sandbox_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct sandbox_record *ret_record, struct error *err);

/*
 * The newest first, at most `limit`, older than the sandbox `before` when that is not NULL.
 * ERR_FORBIDDEN when the tenant does not exist. The caller frees each record, then the array (NULL
 * when there are none).
 */
int store_sandbox_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct sandbox_record **ret_records,
                       size_t *ret_count, struct error *err);

/*
 * Adds files, replacing those of the same path: all or none, durably. Two of one path within one
 * call are ERR_CONFLICT. ERR_TOO_LARGE (field "files") over the bounds above. Not for a sandbox
 * that is being deleted (ERR_NOT_FOUND).
 */
int store_sandbox_put_files(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                            const struct sandbox_files *files, const struct store_origin *origin,
                            struct error *err);

/* What a tenant keeps: definitions that are not deleted, and their code, environments and files. */
struct store_holding {
    uint64_t definitions;
    uint64_t bytes;
};

/* Counts it: the longer, the more there is. */
int store_sandbox_holding(struct db_pool *pool, const struct id *tenant,
                          struct store_holding *ret_holding, struct error *err);

/* What a delete leaves to do. */
struct store_deletion {
    bool done; /* already deleted, nothing is left to do */
    uint32_t
        *generations; /* else: of the live runs, to destroy before store_sandbox_delete_finish */
    size_t count;
};

void store_deletion_free(struct store_deletion *deletion);

/*
 * State deleting: no new run can begin. Without live runs it goes on to deleted in the same commit;
 * a stopped sandbox without files goes there in one step.
 * Calling it again for a sandbox in state deleting is allowed and does the same; one that is
 * deleted is ERR_NOT_FOUND. Durable.
 */
int store_sandbox_delete_begin(struct db_pool *pool, const struct db_scope *scope,
                               const struct id *id, const struct store_origin *origin,
                               struct store_deletion *ret_deletion, struct error *err);

/*
 * State deleted; code, environment and files are erased, a tombstone stays until retention. Nothing
 * to do, and no error, when somebody else finished first. Durable.
 */
int store_sandbox_delete_finish(struct db_pool *pool, const struct db_scope *scope,
                                const struct id *id, const struct store_origin *origin,
                                struct error *err);

#endif
