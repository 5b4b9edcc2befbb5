/*
 * What /v1/sandboxes shows of containers: JSON objects, made by tables which are also the API's
 * description. They are the caller's; NULL, or a text that failed, says that memory is short.
 */
#ifndef SERVER_HANDLERS_V1_SANDBOX_VIEW_H
#define SERVER_HANDLERS_V1_SANDBOX_VIEW_H

#include "lib/json/json.h"

#include <atoll/container.h>

extern const struct json_table v1_sandbox_table;
extern const struct json_table v1_sandbox_list_table;
extern const struct json_table v1_environment_table;
extern const struct json_table v1_entrypoint_view_table;

/* `executor`: the JSON object of a new sandbox's executor; NULL: it is not shown. */
void v1_sandbox_write(const struct container_record *record, const char *executor,
                      struct json_text *text);

/* A page; `more` says that another follows. */
void v1_sandbox_list_write(const struct container_list *list, bool more, struct json_text *text);

/* {environment} */
cJSON *v1_environment_view(const struct container_record *record);

/* {entrypoint, command} */
cJSON *v1_entrypoint_view(const struct container_record *record);

#endif
