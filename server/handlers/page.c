#include "server/handlers/page.h"

#include <string.h>

static const struct json_field query_fields[] = {
    PAGE_QUERY_FIELDS(struct page_query),
};

const struct json_table page_query_table = JSON_TABLE("PageQuery", query_fields);

int page_query(struct call *call, struct page_query *ret_query, struct error *err)
{
    struct page_query query = {.limit = PAGE_LIMIT_DEFAULT};
    struct call_query_storage storage;

    if (call_query(call, &page_query_table, &storage, &query, err) < 0)
        return -1;
    *ret_query = query;
    return 0;
}

static const struct json_field name_query_fields[] = {
    {.name = "limit",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = PAGE_LIMIT_MAX,
     .offset = offsetof(struct page_name_query, limit),
     .about = "The most items to answer with; 50 unless said"},
    {.name = "cursor",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct page_name_query, cursor),
     .about = "The next_cursor of the page before"},
};

const struct json_table page_name_query_table = JSON_TABLE("PageByNameQuery", name_query_fields);

int page_name_query(struct call *call, struct page_name_query *ret_query, struct error *err)
{
    ret_query->limit = PAGE_LIMIT_DEFAULT;
    ret_query->cursor = NULL;
    return call_query(call, &page_name_query_table, &ret_query->storage, ret_query, err);
}

int page_respond_by_name(struct call *call, const struct json_table *table, cJSON *items,
                         const char *cursor, struct error *err)
{
    struct page_view view = {.items = items, .next_cursor = cursor};

    if (!items)
        return error_no_memory(err);
    return call_respond_json(call, 200, json_encode(table, &view), err);
}

int page_respond(struct call *call, const struct json_table *table, cJSON *items,
                 const struct id *last, struct error *err)
{
    char cursor[ID_TEXT_SIZE];

    if (last)
        id_format(last, cursor);
    return page_respond_by_name(call, table, items, last ? cursor : NULL, err);
}
