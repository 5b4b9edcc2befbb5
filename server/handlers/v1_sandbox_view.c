#include "server/handlers/v1_sandbox_view.h"

struct port_view {
    int64_t port;
    const char *protocol;
};

/* Describes the entries; they are shown as they are stored. */
static const struct json_field port_fields[] = {
    {.name = "port",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .min = 1,
     .max = 65535,
     .offset = offsetof(struct port_view, port)},
    {.name = "protocol",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "http|tcp",
     .offset = offsetof(struct port_view, protocol)},
};
static const struct json_table port_table = JSON_TABLE("SandboxPort", port_fields);

struct resources_view {
    double cpu;
    int64_t memory;
    const char *gpu;
    int64_t timeout;
    int64_t max_retries;
};

static const struct json_field resources_fields[] = {
    {.name = "cpu",
     .type = JSON_TYPE_NUMBER,
     .required = true,
     .max = 1024,
     .offset = offsetof(struct resources_view, cpu),
     .about = "Cores."},
    {.name = "memory",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct resources_view, memory),
     .about = "MiB."},
    {.name = "gpu",
     .type = JSON_TYPE_STRING,
     .offset = offsetof(struct resources_view, gpu),
     .about = "Always null."},
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .max = INT32_MAX,
     .offset = offsetof(struct resources_view, timeout),
     .about = "Seconds that the main command may run; null: for ever."},
    {.name = "max_retries",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct resources_view, max_retries)},
};
static const struct json_table resources_table = JSON_TABLE("SandboxResources", resources_fields);

struct sandbox_view {
    struct id id;
    struct id project_id;
    const char *name;
    const char *image;
    const char *runtime;
    const char *state;
    const char *state_reason;
    const char *command; /* JSON, as the following */
    const char *entrypoint;
    const char *ports;
    struct resources_view resources;
    int64_t idle_timeout;
    int64_t max_lifetime;
    int64_t command_timeout;
    int64_t disk_limit;
    const char *network;
    bool read_only_root;
    const char *cap_add;
    const char *cap_drop;
    const char *labels;
    int64_t created_at;
    int64_t started_at;
    int64_t last_active_at;
    int64_t expires_at;
    int64_t exit_code;
    int64_t exit_signal;
    int64_t version;
    const char *executor; /* JSON */
};

static const struct json_field sandbox_fields[] = {
    {.name = "id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct sandbox_view, id)},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct sandbox_view, project_id)},
    {.name = "name", .type = JSON_TYPE_STRING, .offset = offsetof(struct sandbox_view, name)},
    {.name = "image",
     .type = JSON_TYPE_STRING,
     .required = true,
     .offset = offsetof(struct sandbox_view, image)},
    {.name = "runtime", .type = JSON_TYPE_STRING, .offset = offsetof(struct sandbox_view, runtime)},
    {.name = "state",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "creating|running|paused|stopped|failed|deleting",
     .offset = offsetof(struct sandbox_view, state)},
    {.name = "state_reason",
     .type = JSON_TYPE_STRING,
     .offset = offsetof(struct sandbox_view, state_reason),
     .about = "What put it in its state."},
    {.name = "command",
     .type = JSON_TYPE_STRINGS,
     .offset = offsetof(struct sandbox_view, command)},
    {.name = "entrypoint",
     .type = JSON_TYPE_STRINGS,
     .offset = offsetof(struct sandbox_view, entrypoint)},
    {.name = "ports",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .of = &port_table,
     .offset = offsetof(struct sandbox_view, ports)},
    {.name = "resources",
     .type = JSON_TYPE_RECORD,
     .required = true,
     .of = &resources_table,
     .offset = offsetof(struct sandbox_view, resources)},
    {.name = "idle_timeout",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct sandbox_view, idle_timeout),
     .about = "Seconds."},
    {.name = "max_lifetime",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct sandbox_view, max_lifetime),
     .about = "Seconds."},
    {.name = "command_timeout",
     .type = JSON_TYPE_INTEGER,
     .max = INT32_MAX,
     .offset = offsetof(struct sandbox_view, command_timeout),
     .about = "Seconds; null: none."},
    {.name = "disk_limit",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct sandbox_view, disk_limit),
     .about = "MiB."},
    {.name = "network",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "none",
     .offset = offsetof(struct sandbox_view, network)},
    {.name = "read_only_root",
     .type = JSON_TYPE_BOOL,
     .required = true,
     .offset = offsetof(struct sandbox_view, read_only_root)},
    {.name = "cap_add",
     .type = JSON_TYPE_STRINGS,
     .required = true,
     .offset = offsetof(struct sandbox_view, cap_add)},
    {.name = "cap_drop",
     .type = JSON_TYPE_STRINGS,
     .required = true,
     .offset = offsetof(struct sandbox_view, cap_drop)},
    {.name = "labels",
     .type = JSON_TYPE_MAP,
     .required = true,
     .offset = offsetof(struct sandbox_view, labels)},
    {.name = "created_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct sandbox_view, created_at)},
    {.name = "started_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct sandbox_view, started_at),
     .about = "Of the last start."},
    {.name = "last_active_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct sandbox_view, last_active_at),
     .about = "What idle_timeout counts from."},
    {.name = "expires_at",
     .type = JSON_TYPE_TIME,
     .required = true,
     .offset = offsetof(struct sandbox_view, expires_at),
     .about = "The end of max_lifetime."},
    {.name = "exit_code",
     .type = JSON_TYPE_INTEGER,
     .max = 255,
     .offset = offsetof(struct sandbox_view, exit_code),
     .about = "Of the main command, when it has ended by itself."},
    {.name = "exit_signal",
     .type = JSON_TYPE_INTEGER,
     .max = 64,
     .offset = offsetof(struct sandbox_view, exit_signal),
     .about = "The signal that ended the main command."},
    {.name = "version",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct sandbox_view, version),
     .about = "Of what a caller may change; the ETag."},
    {.name = "executor",
     .type = JSON_TYPE_OBJECT,
     .omitted = true,
     .offset = offsetof(struct sandbox_view, executor),
     .schema = "{\"properties\":{\"url\":{\"type\":\"string\"},\"secret\":{\"type\":\"string\"}},"
               "\"required\":[\"url\"],\"additionalProperties\":false}",
     .about = "Where the sandbox's executor answers, and its secret; in the answer of the creation "
              "alone, without the secret where SANDBOX_SECRET of the environment is it."},
};
const struct json_table v1_sandbox_table = JSON_TABLE("Sandbox", sandbox_fields);

struct list_view {
    const char *items;
    struct id next_cursor;
};

static const struct json_field list_fields[] = {
    {.name = "items",
     .type = JSON_TYPE_ARRAY,
     .required = true,
     .of = &v1_sandbox_table,
     .offset = offsetof(struct list_view, items)},
    {.name = "next_cursor",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct list_view, next_cursor)},
};
const struct json_table v1_sandbox_list_table = JSON_TABLE("SandboxList", list_fields);

struct environment_view {
    cJSON *environment;
};

static const struct json_field environment_fields[] = {
    {.name = "environment",
     .type = JSON_TYPE_MAP,
     .required = true,
     .offset = offsetof(struct environment_view, environment)},
};
const struct json_table v1_environment_table = JSON_TABLE("Environment", environment_fields);

struct entrypoint_view {
    cJSON *entrypoint;
    cJSON *command;
};

static const struct json_field entrypoint_fields[] = {
    {.name = "entrypoint",
     .type = JSON_TYPE_STRINGS,
     .offset = offsetof(struct entrypoint_view, entrypoint)},
    {.name = "command",
     .type = JSON_TYPE_STRINGS,
     .offset = offsetof(struct entrypoint_view, command)},
};
const struct json_table v1_entrypoint_view_table = JSON_TABLE("Entrypoint", entrypoint_fields);

/* JSON of the database, as it is: it was checked when it came in. */
static cJSON *stored(const char *json)
{
    return json ? cJSON_CreateRaw(json) : NULL;
}

static int64_t positive_or_null(uint32_t value)
{
    return value > 0 ? (int64_t)value : JSON_NULL_INTEGER;
}

static struct resources_view resources_of(const struct container_record *record)
{
    return (struct resources_view){
        .cpu = record->cpu_milli / 1000.0,
        .memory = record->memory_mb,
        .timeout = positive_or_null(record->run_timeout_s),
        .max_retries = record->max_retries,
    };
}

void v1_sandbox_write(const struct container_record *record, const char *executor,
                      struct json_text *text)
{
    const struct sandbox_view view = {
        .id = record->id,
        .project_id = record->project,
        .name = record->name,
        .image = record->image,
        .runtime = record->runtime,
        .state = sandbox_state_name(record->state),
        .state_reason = record->state_reason,
        .command = record->command_json,
        .entrypoint = record->entrypoint_json,
        .ports = record->ports_json,
        .resources = resources_of(record),
        .idle_timeout = record->idle_timeout_s,
        .max_lifetime = record->max_lifetime_s,
        .command_timeout = positive_or_null(record->command_timeout_s),
        .disk_limit = record->disk_mb,
        .network = record->network,
        .read_only_root = record->read_only_root,
        .cap_add = record->cap_add_json,
        .cap_drop = record->cap_drop_json,
        .labels = record->labels_json,
        .created_at = record->created_usec,
        .started_at = record->started_usec,
        .last_active_at = record->last_active_usec,
        .expires_at = record->expires_usec,
        .exit_code = record->exit_code >= 0 ? record->exit_code : JSON_NULL_INTEGER,
        .exit_signal = record->exit_signal > 0 ? record->exit_signal : JSON_NULL_INTEGER,
        .version = record->version,
        .executor = executor,
    };

    json_write(text, &v1_sandbox_table, &view);
}

void v1_sandbox_list_write(const struct container_list *list, bool more, struct json_text *text)
{
    _cleanup_json_text_ struct json_text items = {.data = NULL};
    struct list_view view = {.items = NULL};

    json_text_add(&items, "[", 1);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            json_text_add(&items, ",", 1);
        v1_sandbox_write(&list->items[i], NULL, &items);
    }
    json_text_add(&items, "]", 1);
    view.items = items.data;
    if (more)
        view.next_cursor = list->items[list->count - 1].id;
    text->failed |= items.failed;
    json_write(text, &v1_sandbox_list_table, &view);
}

cJSON *v1_environment_view(const struct container_record *record)
{
    struct environment_view view = {.environment = stored(record->env_json)};

    return json_encode(&v1_environment_table, &view);
}

cJSON *v1_entrypoint_view(const struct container_record *record)
{
    struct entrypoint_view view = {
        .entrypoint = stored(record->entrypoint_json),
        .command = stored(record->command_json),
    };

    return json_encode(&v1_entrypoint_view_table, &view);
}
