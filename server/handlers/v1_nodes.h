/* /v1/nodes, for operators. docs/api/nodes.md describes them. */
#ifndef SERVER_HANDLERS_V1_NODES_H
#define SERVER_HANDLERS_V1_NODES_H

#include "server/handlers/call.h"

extern const struct json_table v1_node_table;
extern const struct json_table v1_node_page_table;

int handle_v1_node_list(struct call *call, struct error *err);
int handle_v1_node_get(struct call *call, struct error *err);

#endif
