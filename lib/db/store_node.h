/* Nodes: the servers of the installation, as they report themselves. For errors see db.h. */
#ifndef LIB_DB_STORE_NODE_H
#define LIB_DB_STORE_NODE_H

#include "lib/db/db.h"

#include <atoll/tenancy.h>

enum {
    STORE_NODE_BEAT_S = 10,   /* how often a server reports */
    STORE_NODE_SILENT_S = 35, /* after three missed reports it is not ready */
};

/* What a server says of its node. */
struct store_node_report {
    const char *id; /* as registered by store_node_register */
    struct id boot_id;
    const char *version;
    int64_t cpu_milli;
    int64_t memory_mb;
    int64_t sandboxes; /* -1: not known now; what was reported before stays */
};

/* Nothing, and no error, when another start of the server has taken the node over. */
int store_node_report(struct db_pool *pool, const struct store_node_report *report,
                      struct error *err);

/* The caller frees the record. */
int store_node_get(struct db_pool *pool, const char *id, struct node_record *ret_record,
                   struct error *err);

/*
 * By name, at most `limit`, after the node `after` when that is not NULL. The caller frees each
 * record, then the array (NULL when there are none).
 */
int store_node_list(struct db_pool *pool, uint32_t limit, const char *after,
                    struct node_record **ret_records, size_t *ret_count, struct error *err);

#endif
