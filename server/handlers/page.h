/*
 * Lists of /v1: `?limit=&cursor=` in, `{"items":[…],"next_cursor":…}` out. The cursor is the id of
 * the last item of the page before.
 */
#ifndef SERVER_HANDLERS_PAGE_H
#define SERVER_HANDLERS_PAGE_H

#include "server/handlers/call.h"

enum { PAGE_LIMIT_DEFAULT = 50, PAGE_LIMIT_MAX = 200 };

/* The parameters of every list, for a struct that has them as `int64_t limit` and `struct id
 * cursor`. */
#define PAGE_QUERY_FIELDS(query)                                                                   \
    {.name = "limit",                                                                              \
     .type = JSON_TYPE_INTEGER,                                                                    \
     .min = 1,                                                                                     \
     .max = PAGE_LIMIT_MAX,                                                                        \
     .offset = offsetof(query, limit),                                                             \
     .about = "The most items to answer with; 50 unless said"},                                    \
    {                                                                                              \
        .name = "cursor", .type = JSON_TYPE_ID, .offset = offsetof(query, cursor),                 \
        .about = "The next_cursor of the page before"                                              \
    }

struct page_query {
    int64_t limit;
    struct id cursor; /* none: the first page */
};

/* The parameters; for routes. */
extern const struct json_table page_query_table;

int page_query(struct call *call, struct page_query *ret_query, struct error *err);

/* The same for lists by name: the cursor is the name of the last item. */
struct page_name_query {
    int64_t limit;
    const char *cursor; /* NULL: the first page */
    struct call_query_storage storage;
};

extern const struct json_table page_name_query_table;

int page_name_query(struct call *call, struct page_name_query *ret_query, struct error *err);

/* What a list answers: by a table whose fields are PAGE_FIELDS(item's table). */
struct page_view {
    cJSON *items;            /* moved into the answer */
    const char *next_cursor; /* NULL: this is the last page */
};

#define PAGE_FIELDS(item_table)                                                                    \
    {.name = "items",                                                                              \
     .type = JSON_TYPE_ARRAY,                                                                      \
     .required = true,                                                                             \
     .max = PAGE_LIMIT_MAX,                                                                        \
     .offset = offsetof(struct page_view, items),                                                  \
     .of = &(item_table)},                                                                         \
    {                                                                                              \
        .name = "next_cursor", .type = JSON_TYPE_STRING, .max = 255,                               \
        .offset = offsetof(struct page_view, next_cursor),                                         \
        .about = "`cursor` of the next page; null: there is none"                                  \
    }

/* Answers with a page by its table; `cursor` of the next one, NULL when there is none. Takes
 * `items`, which may be NULL for want of memory. */
int page_respond_by_name(struct call *call, const struct json_table *table, cJSON *items,
                         const char *cursor, struct error *err);

/* The same; `last` is the id of its last item, NULL when no page follows.
 * Takes `items`, which may be NULL for want of memory. */
int page_respond(struct call *call, const struct json_table *table, cJSON *items,
                 const struct id *last, struct error *err);

#endif
