#include "server/handlers/v1_usage.h"

#include "lib/base/util.h"
#include "server/services/usage.h"

#include <stdlib.h>
#include <time.h>

#define DAY_USEC (INT64_C(86400) * 1000000)

enum { DEFAULT_DAYS = 30 };

struct usage_query {
    int64_t from_usec;
    int64_t until_usec;
    struct id project;
};

static const struct json_field query_fields[] = {
    {.name = "from",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct usage_query, from_usec),
     .about = "30 days before `to` unless said."},
    {.name = "to",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct usage_query, until_usec),
     .about = "Now unless said; exclusive, at most 92 days behind `from`."},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct usage_query, project),
     .about = "Only of this project."},
};

const struct json_table usage_query_table = JSON_TABLE("UsageQuery", query_fields);

struct item_view {
    struct id project;
    const char *day;
    double sandbox_seconds;
    double cpu_seconds;
    double memory_mb_seconds;
    int64_t runs;
};

static const struct json_field item_fields[] = {
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct item_view, project)},
    {.name = "day",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = STORE_USAGE_DAY_SIZE - 1,
     .format = "date",
     .offset = offsetof(struct item_view, day),
     .about = "In UTC."},
    {.name = "sandbox_seconds",
     .type = JSON_TYPE_NUMBER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct item_view, sandbox_seconds),
     .about = "How long sandboxes ran, all together."},
    {.name = "cpu_seconds",
     .type = JSON_TYPE_NUMBER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct item_view, cpu_seconds)},
    {.name = "memory_mb_seconds",
     .type = JSON_TYPE_NUMBER,
     .required = true,
     .max = INT64_MAX >> 11,
     .offset = offsetof(struct item_view, memory_mb_seconds),
     .about = "Their memory limits, each times its seconds."},
    {.name = "runs",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct item_view, runs),
     .about = "Executions that began."},
};

static const struct json_table item_table = JSON_TABLE("UsageOfDay", item_fields);

struct usage_view {
    int64_t from_usec;
    int64_t until_usec;
    cJSON *items;
};

static const struct json_field fields[] = {
    {.name = "from",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct usage_view, from_usec)},
    {.name = "to",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct usage_view, until_usec)},
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .max = USAGE_ROWS_MAX,
     .offset = offsetof(struct usage_view, items),
     .of = &item_table},
};

const struct json_table usage_table = JSON_TABLE("Usage", fields);

static cJSON *view_item(const struct store_usage *usage)
{
    struct item_view view = {
        .project = usage->project,
        .day = usage->day,
        .sandbox_seconds = usage->sandbox_seconds,
        .cpu_seconds = usage->cpu_seconds,
        .memory_mb_seconds = usage->memory_mb_seconds,
        .runs = usage->runs,
    };

    return json_encode(&item_table, &view);
}

static void fill_range(const struct usage_query *query, struct store_usage_range *range)
{
    range->until_usec = query->until_usec ? query->until_usec : (time(NULL) + 1) * INT64_C(1000000);
    range->from_usec =
        query->from_usec ? query->from_usec : range->until_usec - DEFAULT_DAYS * DAY_USEC;
    range->project = id_or_null(&query->project);
}

int handle_usage(struct call *call, struct error *err)
{
    _cleanup_free_ struct store_usage *items = NULL;
    struct call_query_storage storage;
    struct usage_query query = {.from_usec = 0};
    struct store_usage_range range;
    struct usage_view view;
    size_t count = 0;

    if (call_query(call, &usage_query_table, &storage, &query, err) < 0)
        return -1;
    fill_range(&query, &range);
    if (usage_list(call->services, &call->caller, &range, &items, &count, err) < 0)
        return -1;
    view = (struct usage_view){range.from_usec, range.until_usec, cJSON_CreateArray()};
    for (size_t i = 0; i < count; i++)
        json_append(&view.items, view_item(&items[i]));
    return call_respond_json(call, 200, json_encode(&usage_table, &view), err);
}
