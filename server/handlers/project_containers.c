#include "server/handlers/project_containers.h"

#include "lib/base/util.h"
#include "server/handlers/project_container_request.h"
#include "server/services/container_stats.h"

#include <string.h>

enum { NAME_MAX_CHARACTERS = 255, PORT_MAX = 65535 };

#define MIB      (1024.0 * 1024)
#define STATES   "creating|running|paused|stopped|failed"
#define NO_PORTS "ports are not reached from outside here"

int project_container_of(struct call *call, struct container_record *ret_record, struct error *err)
{
    return project_containers_find(call->services, &call->caller, call->name, ret_record, err);
}

/* --- create */

struct container_view {
    struct id container_id;
    const char *project_id;
    const char *status;
    cJSON *port_mappings;
    cJSON *preview_urls;
    int64_t created_usec;
    cJSON *warnings;
};

static const struct json_field container_fields[] = {
    {.name = "container_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct container_view, container_id),
     .about = "Its id as a sandbox of /v1."},
    {.name = "project_id",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = NAME_MAX_CHARACTERS,
     .offset = offsetof(struct container_view, project_id)},
    {.name = "status",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = STATES,
     .offset = offsetof(struct container_view, status)},
    {.name = "port_mappings",
     .type = JSON_TYPE_OBJECT,
     .required = true,
     .max = PORT_MAX,
     .offset = offsetof(struct container_view, port_mappings),
     .about = "Empty: " NO_PORTS "."},
    {.name = "preview_urls",
     .type = JSON_TYPE_OBJECT,
     .required = true,
     .max = PORT_MAX,
     .offset = offsetof(struct container_view, preview_urls),
     .about = "Empty, likewise."},
    {.name = "created_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct container_view, created_usec)},
    {.name = "warnings",
     .type = JSON_TYPE_STRINGS,
     .omitted = true,
     .max = 16,
     .offset = offsetof(struct container_view, warnings),
     .about = "What was asked for and is not given; left out when there is nothing."},
};
const struct json_table project_container_table = JSON_TABLE("ProjectContainer", container_fields);

/* The database writes JSON in its own way. */
static bool is_same_json(const char *one, const char *other)
{
    _cleanup_cjson_ cJSON *value = cJSON_Parse(one);
    _cleanup_cjson_ cJSON *other_value = cJSON_Parse(other);

    return cJSON_Compare(value, other_value, true);
}

static bool is_as_asked(const struct container_record *record, const struct container_spec *spec)
{
    return strcmp(record->image, spec->image) == 0 && record->memory_mb == spec->memory_mb &&
           record->cpu_milli == spec->cpu_milli && record->disk_mb == spec->disk_mb &&
           record->idle_timeout_s == spec->idle_timeout_s &&
           record->max_lifetime_s == spec->max_lifetime_s &&
           record->command_timeout_s == spec->command_timeout_s &&
           record->read_only_root == spec->read_only_root &&
           is_same_json(record->cap_add_json, spec->cap_add_json) &&
           is_same_json(record->cap_drop_json, spec->cap_drop_json) &&
           is_same_json(record->ports_json, spec->ports_json);
}

static int warn_of_differences(cJSON **warnings, struct error *err)
{
    static const char text[] = "config: the container was there with another one, which counts "
                               "until it is deleted with its files";

    if (!*warnings)
        *warnings = cJSON_CreateArray();
    if (!*warnings || !cJSON_AddItemToArray(*warnings, cJSON_CreateString(text)))
        return error_no_memory(err);
    return 0;
}

static cJSON *container_view(const struct call *call, const struct container_record *record,
                             cJSON **warnings)
{
    struct container_view view = {
        .container_id = record->id,
        .project_id = call->name,
        .status = sandbox_state_name(record->state),
        .port_mappings = cJSON_CreateObject(),
        .preview_urls = cJSON_CreateObject(),
        .created_usec = record->created_usec,
        .warnings = TAKE_PTR(*warnings),
    };

    return json_encode(&project_container_table, &view);
}

int handle_project_container_create(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_(container_spec_free) struct container_spec spec = {.name = NULL};
    _cleanup_cjson_ cJSON *warnings = NULL;
    bool is_new;

    if (project_container_request(call, &spec, &warnings, err) < 0 ||
        project_containers_ensure(call->services, &call->caller, &spec, &record, &is_new, err) < 0)
        return -1;
    if (!is_new && !is_as_asked(&record, &spec) && warn_of_differences(&warnings, err) < 0)
        return -1;
    return call_respond_json(call, 200, container_view(call, &record, &warnings), err);
}

/* --- preview */

struct preview_query {
    int64_t port;
};

static const struct json_field preview_query_fields[] = {
    {.name = "port",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = PORT_MAX,
     .offset = offsetof(struct preview_query, port)},
};
const struct json_table project_container_preview_query =
    JSON_TABLE("ProjectContainerPreviewQuery", preview_query_fields);

struct preview_view {
    const char *preview_url;
    const char *status;
    cJSON *warnings;
};

static const struct json_field preview_fields[] = {
    {.name = "preview_url",
     .type = JSON_TYPE_STRING,
     .max = 2048,
     .offset = offsetof(struct preview_view, preview_url),
     .about = "null: " NO_PORTS "."},
    {.name = "status",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = STATES,
     .offset = offsetof(struct preview_view, status)},
    {.name = "warnings",
     .type = JSON_TYPE_STRINGS,
     .omitted = true,
     .max = 16,
     .offset = offsetof(struct preview_view, warnings)},
};
const struct json_table project_container_preview_table =
    JSON_TABLE("ProjectContainerPreview", preview_fields);

int handle_project_container_preview(struct call *call, struct error *err)
{
    static const char *const warnings[] = {"preview_url: " NO_PORTS};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct preview_query query = {.port = 0};
    struct call_query_storage storage;
    struct preview_view view;

    if (call_query(call, &project_container_preview_query, &storage, &query, err) < 0 ||
        project_container_of(call, &record, err) < 0)
        return -1;
    view = (struct preview_view){.status = sandbox_state_name(record.state),
                                 .warnings = cJSON_CreateStringArray(warnings, 1)};
    return call_respond_json(call, 200, json_encode(&project_container_preview_table, &view), err);
}

/* --- stats */

struct stats_view {
    double cpu_percent;
    double memory_usage_mb;
    double memory_limit_mb;
    double memory_percent;
    double disk_usage_mb;
    int64_t disk_limit_mb;
    int64_t processes;
    int64_t processes_limit;
    const char *status;
};

#define NUMBER(name_, about_)                                                                      \
    {                                                                                              \
        .name = #name_, .type = JSON_TYPE_NUMBER, .required = true, .max = INT32_MAX,              \
        .offset = offsetof(struct stats_view, name_), .about = (about_)                            \
    }

#define COUNT(name_, about_)                                                                       \
    {                                                                                              \
        .name = #name_, .type = JSON_TYPE_INTEGER, .required = true, .max = INT32_MAX,             \
        .offset = offsetof(struct stats_view, name_), .about = (about_)                            \
    }

static const struct json_field stats_fields[] = {
    NUMBER(cpu_percent, "Of one core, over the last seconds."),
    NUMBER(memory_usage_mb, "MiB, page cache included."),
    NUMBER(memory_limit_mb, "MiB."),
    NUMBER(memory_percent, "Of the limit."),
    NUMBER(disk_usage_mb, "MiB on its disk, as the container says; 0 when it does not."),
    COUNT(disk_limit_mb, "MiB."),
    COUNT(processes, "Processes and threads."),
    COUNT(processes_limit, NULL),
    {.name = "status",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = STATES,
     .offset = offsetof(struct stats_view, status)},
};
const struct json_table project_container_stats_table =
    JSON_TABLE("ProjectContainerStats", stats_fields);

/* To two places; the value is not negative. */
static double rounded(double value)
{
    return (double)(int64_t)(value * 100 + 0.5) / 100;
}

static cJSON *stats_view(const struct container_record *record, const struct container_stats *stats)
{
    double used_mb = (double)stats->memory_bytes / MIB;
    struct stats_view view = {
        .cpu_percent = rounded(stats->cpu_percent),
        .memory_usage_mb = rounded(used_mb),
        .memory_limit_mb = record->memory_mb,
        .memory_percent = rounded(100 * used_mb / record->memory_mb),
        .disk_usage_mb = rounded((double)stats->disk_bytes / MIB),
        .disk_limit_mb = record->disk_mb,
        .processes = (int64_t)stats->pids,
        .processes_limit = record->pids_max,
        .status = sandbox_state_name(record->state),
    };

    return json_encode(&project_container_stats_table, &view);
}

int handle_project_container_stats(struct call *call, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct container_stats stats;

    if (project_container_of(call, &record, err) < 0 ||
        container_stats_read(call->services, &call->caller, &record, &stats, err) < 0)
        return -1;
    return call_respond_json(call, 200, stats_view(&record, &stats), err);
}

/* --- delete */

struct delete_query {
    const char *delete_files;
};

static const struct json_field delete_query_fields[] = {
    {.name = "delete_files",
     .type = JSON_TYPE_STRING,
     .choices = "true|false|True|False|1|0", /* as clients in JavaScript and in Python write it */
     .offset = offsetof(struct delete_query, delete_files),
     .about = "false: its files are there again after the next create."},
};
const struct json_table project_container_delete_query =
    JSON_TABLE("ProjectContainerDeleteQuery", delete_query_fields);

struct deleted_view {
    bool success;
    const char *message;
};

static const struct json_field deleted_fields[] = {
    {.name = "success",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct deleted_view, success)},
    {.name = "message",
     .type = JSON_TYPE_STRING,
     .required = true,
     .max = 255,
     .offset = offsetof(struct deleted_view, message)},
};
const struct json_table project_container_deleted_table =
    JSON_TABLE("ProjectContainerDeleted", deleted_fields);

static int respond_deleted(struct call *call, struct error *err)
{
    struct deleted_view view = {.success = true, .message = "Container deleted"};

    return call_respond_json(call, 200, json_encode(&project_container_deleted_table, &view), err);
}

static int delete_container(struct call *call, struct error *err)
{
    struct delete_query query = {.delete_files = "false"};
    struct call_query_storage storage;

    if (call_query(call, &project_container_delete_query, &storage, &query, err) < 0)
        return -1;
    return project_containers_delete(call->services, &call->caller, call->name,
                                     strchr("tT1", query.delete_files[0]) != NULL, err);
}

int handle_project_container_delete(struct call *call, struct error *err)
{
    if (delete_container(call, err) < 0)
        return -1;
    return respond_deleted(call, err);
}

int handle_project_container_delete_rest(struct call *call, struct error *err)
{
    if (delete_container(call, err) < 0 && err->code != ERR_NOT_FOUND)
        return -1;
    return respond_deleted(call, err);
}
