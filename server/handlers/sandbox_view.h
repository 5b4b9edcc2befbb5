/*
 * What the sandbox-service dialect shows of records and results: JSON objects, owned by the caller.
 * Each returns NULL when memory is short.
 */
#ifndef SERVER_HANDLERS_SANDBOX_VIEW_H
#define SERVER_HANDLERS_SANDBOX_VIEW_H

#include "lib/json/json.h"
#include "server/services/execution.h"
#include "server/services/sandboxes.h"

#include <atoll/sandbox.h>

enum { SIGNAL_VIEW_SIZE = 16 };

extern const struct json_table sandbox_table;
extern const struct json_table sandbox_list_table;
extern const struct json_table sandbox_deleted_table;
extern const struct json_table sandbox_files_written_table;
extern const struct json_table execution_table;

/* {id, runtime, status, …}. Status is Created, Running, Completed or Failed (after the last run).
 */
cJSON *sandbox_view(const struct sandbox_record *record);

/* "SIGKILL", or NULL for signal 0; *buffer holds it. */
const char *signal_view(int signal, char buffer[static SIGNAL_VIEW_SIZE]);

/*
 * Output as text; *ret_base64 has the exact bytes where the text is not those, else it is NULL.
 * Both are the caller's. False when memory is short.
 */
bool output_view(const char *data, size_t size, char **ret_text, char **ret_base64);

/* {sandboxes, next_cursor} */
cJSON *sandbox_list_view(const struct sandbox_list *list);

/* {id, deleted} */
cJSON *sandbox_deleted_view(const struct id *sandbox);

/* {success, files_written} */
cJSON *sandbox_files_written_view(size_t count);

/* {sandbox_id, success, stdout, stderr, exit_code, …, stages} */
cJSON *execution_view(const struct id *sandbox, const struct execution_result *result);

#endif
