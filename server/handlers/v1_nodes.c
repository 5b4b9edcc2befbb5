#include "server/handlers/v1_nodes.h"

#include "server/handlers/page.h"
#include "server/services/nodes.h"

struct node_view {
    const char *id;
    const char *state;
    const char *version;
    int64_t cpu_milli;
    int64_t memory_mb;
    int64_t sandboxes;
    int64_t started_usec;
    int64_t seen_usec;
};

static const struct json_field node_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = 63,
     .offset = offsetof(struct node_view, id)},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .min = 1,
     .max = 16,
     .choices = "ready|away",
     .about = "`away`: its server has not been heard of for 35 seconds",
     .offset = offsetof(struct node_view, state)},
    {.name = "version",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = 63,
     .about = "Of its server",
     .offset = offsetof(struct node_view, version)},
    {.name = "cpu_milli",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_C(1) << 50,
     .about = "Processors, in thousandths of a core",
     .offset = offsetof(struct node_view, cpu_milli)},
    {.name = "memory_mb",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_C(1) << 50,
     .offset = offsetof(struct node_view, memory_mb)},
    {.name = "sandboxes",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT64_C(1) << 50,
     .about = "Alive on it when it was last heard of",
     .offset = offsetof(struct node_view, sandboxes)},
    {.name = "started_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct node_view, started_usec)},
    {.name = "seen_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct node_view, seen_usec)},
};
const struct json_table v1_node_table = JSON_TABLE("Node", node_fields);

static const struct json_field page_fields[] = {PAGE_FIELDS(v1_node_table)};
const struct json_table v1_node_page_table = JSON_TABLE("NodePage", page_fields);

static cJSON *node_view(const struct node_record *record)
{
    struct node_view view = {
        .id = record->id,
        .state = record->ready ? "ready" : "away",
        .version = record->version,
        .cpu_milli = record->cpu_milli,
        .memory_mb = record->memory_mb,
        .sandboxes = record->sandboxes,
        .started_usec = record->started_usec,
        .seen_usec = record->seen_usec,
    };

    return json_encode(&v1_node_table, &view);
}

int handle_v1_node_list(struct call *call, struct error *err)
{
    _cleanup_(node_list_free) struct node_list list = {.items = NULL};
    struct page_name_query query;
    cJSON *items;

    if (page_name_query(call, &query, err) < 0 ||
        nodes_list(call->services, (uint32_t)query.limit, query.cursor, &list, err) < 0)
        return -1;
    items = cJSON_CreateArray();
    for (size_t i = 0; i < list.count; i++)
        json_append(&items, node_view(&list.items[i]));
    return page_respond_by_name(call, &v1_node_page_table, items,
                                list.more ? list.items[list.count - 1].id : NULL, err);
}

int handle_v1_node_get(struct call *call, struct error *err)
{
    _cleanup_(node_record_free) struct node_record record = {.id = NULL};

    if (nodes_get(call->services, call->name, &record, err) < 0)
        return -1;
    return call_respond_json(call, 200, node_view(&record), err);
}
