/*
 * The handlers of /api/v1/containers/{project} (docs/api/containers.md), and the tables that their
 * routes are described by. They translate: what happens is in services/project_containers.h and the
 * services of /v1.
 */
#ifndef SERVER_HANDLERS_PROJECT_CONTAINERS_H
#define SERVER_HANDLERS_PROJECT_CONTAINERS_H

#include "server/handlers/call.h"
#include "server/services/project_containers.h"

extern const struct json_table project_container_create_table;
extern const struct json_table project_container_exec_table;
extern const struct json_table project_container_file_table;
extern const struct json_field project_container_batch_body;
extern const struct json_table project_container_list_query;
extern const struct json_table project_container_preview_query;
extern const struct json_table project_container_delete_query;

extern const struct json_table project_container_table;
extern const struct json_table project_container_written_table;
extern const struct json_table project_container_batch_result_table;
extern const struct json_table project_container_list_table;
extern const struct json_table project_container_content_table;
extern const struct json_table project_container_preview_table;
extern const struct json_table project_container_stats_table;
extern const struct json_table project_container_deleted_table;

/* The container of the project that the path names. The caller frees the record. */
int project_container_of(struct call *call, struct container_record *ret_record, struct error *err);

int handle_project_container_create(struct call *call, struct error *err);
int handle_project_container_exec(struct call *call, struct error *err);
int handle_project_container_write(struct call *call, struct error *err);
int handle_project_container_batch(struct call *call, struct error *err);
int handle_project_container_list(struct call *call, struct error *err);
int handle_project_container_read(struct call *call, struct error *err);
int handle_project_container_preview(struct call *call, struct error *err);
int handle_project_container_stats(struct call *call, struct error *err);
int handle_project_container_delete(struct call *call, struct error *err);

/* The answer to a retry of an exec with the same Idempotency-Key: the same command's events.
 * call->ids[0] is the process. */
int handle_project_container_exec_again(struct call *call, struct error *err);

/* Answers as a delete does, also when it has been done before. */
int handle_project_container_delete_rest(struct call *call, struct error *err);

#endif
