/* The nodes of the installation, for operators. See lib/db/store_node.h. */
#ifndef SERVER_SERVICES_NODES_H
#define SERVER_SERVICES_NODES_H

#include "lib/db/store_node.h"
#include "server/services/services.h"

/* A page, by name. `more` says that another follows. */
struct node_list {
    struct node_record *items;
    size_t count;
    bool more;
};

void node_list_free(struct node_list *list);

int nodes_get(struct services *services, const char *id, struct node_record *ret_record,
              struct error *err);

/* At most `limit` nodes after `cursor`, or the first when that is NULL. */
int nodes_list(struct services *services, uint32_t limit, const char *cursor,
               struct node_list *ret_list, struct error *err);

#endif
