/*
 * What the sandbox-service dialect shows of records and results: JSON objects, owned by the caller.
 * Each returns NULL when memory is short.
 */
#ifndef SERVER_HANDLERS_SANDBOX_VIEW_H
#define SERVER_HANDLERS_SANDBOX_VIEW_H

#include "lib/json/json.h"
#include "server/services/execution.h"

#include <atoll/sandbox.h>

/* {id, runtime, status, …}. Status is Created, Running, Completed or Failed (after the last run).
 */
cJSON *sandbox_view(const struct sandbox_record *record);

/* {sandbox_id, success, stdout, stderr, exit_code, …, stages} */
cJSON *execution_view(const struct id *sandbox, const struct execution_result *result);

#endif
