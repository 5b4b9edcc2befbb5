/*
 * What the sandbox-service dialect shows of records and results: JSON objects, owned by the caller.
 * Each returns NULL when memory is short.
 */
#ifndef SERVER_HANDLERS_SANDBOX_VIEW_H
#define SERVER_HANDLERS_SANDBOX_VIEW_H

#include "lib/json/json.h"
#include "server/services/sandboxes.h"

#include <atoll/sandbox.h>

extern const struct json_table sandbox_table;
extern const struct json_table sandbox_list_table;
extern const struct json_table sandbox_deleted_table;
extern const struct json_table sandbox_files_written_table;

/* {id, runtime, status, …}. Status is Created, Running, Completed or Failed (after the last run).
 */
cJSON *sandbox_view(const struct sandbox_record *record);

/* {sandboxes, next_cursor} */
cJSON *sandbox_list_view(const struct sandbox_list *list);

/* {id, deleted} */
cJSON *sandbox_deleted_view(const struct id *sandbox);

/* {success, files_written} */
cJSON *sandbox_files_written_view(size_t count);

#endif
