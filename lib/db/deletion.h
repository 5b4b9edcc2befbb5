/* The last step of a sandbox's life, which server and worker share. Internal to lib/db. */
#ifndef LIB_DB_DELETION_H
#define LIB_DB_DELETION_H

/*
 * State deleting to deleted: what the tenant stored is erased, the tombstone stays. `condition` is
 * SQL on sandboxes; parameters: $2 the id, $3 the actor, $4 the request's id.
 */
#define DELETION_FINISH(condition)                                                                 \
    "WITH gone AS (UPDATE sandboxes SET state = 'deleted', deleted_at = now(), code = NULL,"       \
    " entry_point = NULL, env = '{}', file_count = 0, file_bytes = 0"                              \
    " WHERE id = $2::uuid AND state = 'deleting' AND " condition " RETURNING id, tenant_id),"      \
    " erased AS (DELETE FROM sandbox_files f USING gone WHERE f.sandbox_id = $2::uuid),"           \
    " noted AS (INSERT INTO events"                                                                \
    " (tenant_id, sandbox_id, kind, from_state, to_state, actor, request_id)"                      \
    " SELECT tenant_id, id, 'sandbox.deleted', 'deleting', 'deleted', $3::text, $4::text"          \
    " FROM gone)"                                                                                  \
    " SELECT id FROM gone"

#endif
