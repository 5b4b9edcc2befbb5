/* /v1/projects. docs/api/projects.md describes them. */
#ifndef SERVER_HANDLERS_V1_PROJECTS_H
#define SERVER_HANDLERS_V1_PROJECTS_H

#include "server/handlers/call.h"

extern const struct json_table v1_project_table;
extern const struct json_table v1_project_page_table;
extern const struct json_table v1_project_create_table;
extern const struct json_table v1_project_patch_table;

int handle_v1_project_create(struct call *call, struct error *err);
int handle_v1_project_list(struct call *call, struct error *err);
int handle_v1_project_get(struct call *call, struct error *err);
int handle_v1_project_patch(struct call *call, struct error *err);
int handle_v1_project_delete(struct call *call, struct error *err);

#endif
