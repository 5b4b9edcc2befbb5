#include "server/services/nodes.h"

#include <stdlib.h>

void node_list_free(struct node_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        node_record_free(&list->items[i]);
    free(list->items);
    *list = (struct node_list){0};
}

int nodes_get(struct services *services, const char *id, struct node_record *ret_record,
              struct error *err)
{
    return store_node_get(services->db, id, ret_record, err);
}

int nodes_list(struct services *services, uint32_t limit, const char *cursor,
               struct node_list *ret_list, struct error *err)
{
    struct node_list list = {0};

    /* One more than asked for tells whether there is another page. */
    if (store_node_list(services->db, limit + 1, cursor, &list.items, &list.count, err) < 0)
        return -1;
    list.more = list.count > limit;
    if (list.more)
        node_record_free(&list.items[--list.count]);
    *ret_list = list;
    return 0;
}
