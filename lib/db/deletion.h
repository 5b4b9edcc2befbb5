/* The last step of a sandbox's life, which server and worker share. Internal to lib/db. */
#ifndef LIB_DB_DELETION_H
#define LIB_DB_DELETION_H

/*
 * State `from` to deleted: the definition is erased, the tombstone stays; `gone` has it then.
 * `condition` is SQL on sandboxes; parameters: $2 the id, $3 the actor, $4 the request's id.
 */
#define DELETION_TOMBSTONE(from, condition)                                                        \
    "WITH gone AS (UPDATE sandboxes SET state = 'deleted', deleted_at = now(), code = NULL,"       \
    " entry_point = NULL, env = '{}', file_count = 0, file_bytes = 0, command = NULL,"             \
    " entrypoint = NULL, labels = '{}', name = NULL"                                               \
    " WHERE id = $2::uuid AND state = '" from "' AND " condition                                   \
    " RETURNING id, tenant_id, project_id),"                                                       \
    " noted AS (INSERT INTO events"                                                                \
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id)"          \
    " SELECT tenant_id, project_id, id, 'sandbox.deleted', '" from "', 'deleted', $3::text,"       \
    " $4::text FROM gone)"

/* State deleting to deleted, with the files. */
#define DELETION_FINISH(condition)                                                                 \
    DELETION_TOMBSTONE("deleting", condition)                                                      \
    ", erased AS (DELETE FROM sandbox_files f USING gone WHERE f.sandbox_id = $2::uuid)"           \
    " SELECT id FROM gone"

#endif
