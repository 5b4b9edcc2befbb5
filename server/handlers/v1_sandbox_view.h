/*
 * What /v1/sandboxes shows of containers: JSON objects, owned by the caller, made by tables which
 * are also the API's description. Each function returns NULL when memory is short.
 */
#ifndef SERVER_HANDLERS_V1_SANDBOX_VIEW_H
#define SERVER_HANDLERS_V1_SANDBOX_VIEW_H

#include "lib/json/json.h"

#include <atoll/container.h>

extern const struct json_table v1_sandbox_table;
extern const struct json_table v1_sandbox_list_table;
extern const struct json_table v1_environment_table;
extern const struct json_table v1_entrypoint_view_table;

cJSON *v1_sandbox_view(const struct container_record *record);

/* A page; `more` says that another follows. */
cJSON *v1_sandbox_list_view(const struct container_list *list, bool more);

/* {environment} */
cJSON *v1_environment_view(const struct container_record *record);

/* {entrypoint, command} */
cJSON *v1_entrypoint_view(const struct container_record *record);

#endif
