#include "server/handlers/v1_sandbox_request.h"

#include "lib/base/util.h"
#include "server/handlers/schemas.h"
#include "server/handlers/v1_sandbox_values.h"
#include "server/services/container_launch.h"
#include "server/services/runtimes.h"

#include <atoll/launcher_proto.h>
#include <string.h>

enum {
    SECONDS_MAX = 365 * 24 * 3600,
    COMMAND_TIMEOUT_MAX_S = 24 * 3600,
    RUN_TIMEOUT_MAX_S = 30 * 24 * 3600,
    RETRIES_MAX = 100,
    CORES_MAX = 1024,
    MEMORY_MIN_MB = 16,
    DISK_MIN_MB = 16,
    DISK_MAX_MB = 1 << 20,
};

struct resources_body {
    double cpu;
    const cJSON *memory;
    const cJSON *gpu;
    int64_t timeout;
    int64_t max_retries;
};

static const struct json_field resources_fields[] = {
    {.name = "cpu",
     .type = JSON_TYPE_NUMBER,
     .min = 0,
     .max = CORES_MAX,
     .offset = offsetof(struct resources_body, cpu),
     .schema = "{\"minimum\":0.1}",
     .about = "Cores, at least 0.1."},
    {.name = "memory",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct resources_body, memory),
     .schema = SCHEMA_SIZE("\"minimum\":16,\"maximum\":1048576"),
     .about = "MiB as an integer, or a text like 512m or 1g."},
    {.name = "gpu",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct resources_body, gpu),
     .about = "Not supported: null."},
    {.name = "timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = RUN_TIMEOUT_MAX_S,
     .offset = offsetof(struct resources_body, timeout),
     .about = "Seconds that the main command may run."},
    {.name = "max_retries",
     .type = JSON_TYPE_INTEGER,
     .min = 0,
     .max = RETRIES_MAX,
     .offset = offsetof(struct resources_body, max_retries),
     .about = "How often the main command is started again when it fails."},
};
static const struct json_table resources_table =
    JSON_TABLE("SandboxResourcesRequest", resources_fields);

struct create_body {
    const char *image;
    const char *runtime;
    const char *name;
    const cJSON *command;
    const cJSON *entrypoint;
    const cJSON *environment;
    const cJSON *env;
    const cJSON *ports;
    const cJSON *volumes;
    struct resources_body resources;
    int64_t idle_timeout;
    int64_t max_lifetime;
    int64_t command_timeout;
    const cJSON *disk_limit;
    const cJSON *network;
    bool read_only_root;
    const cJSON *cap_add;
    const cJSON *cap_drop;
    bool privileged;
    const cJSON *labels;
    const cJSON *metadata;
    struct id project_id;
    bool force_build;
    const cJSON *build_context;
};

#define ABOUT_COMMAND                                                                              \
    "A text for /bin/sh -c, or an array of arguments; entrypoint and command together are the "    \
    "main command."

static const struct json_field create_fields[] = {
    {.name = "image",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct create_body, image),
     .about = "The root file system; base when neither image nor runtime is given."},
    {.name = "runtime",
     .type = JSON_TYPE_STRING,
     .choices = "node|typescript|bun|python|shell",
     .offset = offsetof(struct create_body, runtime),
     .about = "Stands for the image of this runtime."},
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct create_body, name),
     .about = "For people; need not be unique."},
    {.name = "command",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, command),
     .schema = SCHEMA_ARGUMENTS,
     .about = ABOUT_COMMAND},
    {.name = "entrypoint",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, entrypoint),
     .schema = SCHEMA_ARGUMENTS,
     .about = ABOUT_COMMAND},
    {.name = "environment",
     .type = JSON_TYPE_MAP,
     .max = STORE_ENVIRONMENT_MAX,
     .offset = offsetof(struct create_body, environment),
     .schema = SCHEMA_VARIABLES,
     .about = "Variables of every command."},
    {.name = "env",
     .type = JSON_TYPE_MAP,
     .max = STORE_ENVIRONMENT_MAX,
     .offset = offsetof(struct create_body, env),
     .schema = SCHEMA_VARIABLES,
     .about = "Another name for environment."},
    {.name = "ports",
     .type = JSON_TYPE_ARRAY,
     .max = V1_PORTS_MAX,
     .of = &v1_port_table,
     .offset = offsetof(struct create_body, ports),
     .about = "What listens inside."},
    {.name = "volumes",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, volumes),
     .about = "Not supported: null or empty."},
    {.name = "resources",
     .type = JSON_TYPE_RECORD,
     .of = &resources_table,
     .offset = offsetof(struct create_body, resources)},
    {.name = "idle_timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SECONDS_MAX,
     .offset = offsetof(struct create_body, idle_timeout),
     .about = "Seconds without use after which it is stopped."},
    {.name = "max_lifetime",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SECONDS_MAX,
     .offset = offsetof(struct create_body, max_lifetime),
     .about = "Seconds from its creation after which it is deleted."},
    {.name = "command_timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = COMMAND_TIMEOUT_MAX_S,
     .offset = offsetof(struct create_body, command_timeout),
     .about = "Seconds that a command may run that names no time limit."},
    {.name = "disk_limit",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, disk_limit),
     .schema = SCHEMA_SIZE("\"minimum\":16,\"maximum\":1048576"),
     .about = "Size of the writable layer: MiB as an integer, or a text like 512m or 2g."},
    {.name = "network",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, network),
     .about = "none or false; anything else is not supported."},
    {.name = "read_only_root",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct create_body, read_only_root),
     .about = "The root file system cannot be written."},
    {.name = "cap_add",
     .type = JSON_TYPE_STRINGS,
     .max = V1_CAPABILITIES_MAX,
     .offset = offsetof(struct create_body, cap_add),
     .about = "Capabilities that commands of the sandbox may have, by their names without CAP_."},
    {.name = "cap_drop",
     .type = JSON_TYPE_STRINGS,
     .max = V1_CAPABILITIES_MAX,
     .offset = offsetof(struct create_body, cap_drop),
     .schema = SCHEMA_CAPABILITIES,
     .about = "Capabilities not to have; ALL for any but those of cap_add."},
    {.name = "privileged",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct create_body, privileged),
     .about = "Not supported: false."},
    {.name = "labels",
     .type = JSON_TYPE_MAP,
     .max = V1_LABELS_MAX,
     .offset = offsetof(struct create_body, labels),
     .schema = SCHEMA_LABELS,
     .about = "What to find it by."},
    {.name = "metadata",
     .type = JSON_TYPE_MAP,
     .max = V1_LABELS_MAX,
     .offset = offsetof(struct create_body, metadata),
     .schema = SCHEMA_LABELS,
     .about = "Another name for labels."},
    {.name = "project_id",
     .type = JSON_TYPE_ID,
     .offset = offsetof(struct create_body, project_id),
     .about = "The project it belongs to; the default one when it is not given."},
    {.name = "force_build",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct create_body, force_build),
     .about = "Not supported: false."},
    {.name = "build_context",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, build_context),
     .about = "Not supported: null or empty."},
};
const struct json_table v1_sandbox_create_table =
    JSON_TABLE_WITH("SandboxCreate", create_fields,
                    "{\"allOf\":[" SCHEMA_NOT_BOTH("image", "runtime") "," SCHEMA_NOT_BOTH(
                        "environment", "env") "," SCHEMA_NOT_BOTH("labels", "metadata") "]}");

struct patch_body {
    const char *name;
    const cJSON *labels;
    const cJSON *metadata;
    int64_t idle_timeout;
    int64_t max_lifetime;
    int64_t command_timeout;
};

static const struct json_field patch_fields[] = {
    {.name = "name",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct patch_body, name),
     .about = "null: none."},
    {.name = "labels",
     .type = JSON_TYPE_MAP,
     .max = V1_LABELS_MAX,
     .offset = offsetof(struct patch_body, labels),
     .schema = SCHEMA_LABELS,
     .about = "Replaces all labels."},
    {.name = "metadata",
     .type = JSON_TYPE_MAP,
     .max = V1_LABELS_MAX,
     .offset = offsetof(struct patch_body, metadata),
     .schema = SCHEMA_LABELS,
     .about = "Another name for labels."},
    {.name = "idle_timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SECONDS_MAX,
     .offset = offsetof(struct patch_body, idle_timeout),
     .about = "Seconds."},
    {.name = "max_lifetime",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = SECONDS_MAX,
     .offset = offsetof(struct patch_body, max_lifetime),
     .about = "Seconds from its creation."},
    {.name = "command_timeout",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = COMMAND_TIMEOUT_MAX_S,
     .offset = offsetof(struct patch_body, command_timeout),
     .about = "Seconds; null: none."},
};
const struct json_table v1_sandbox_patch_table =
    JSON_TABLE_WITH("SandboxPatch", patch_fields, SCHEMA_NOT_BOTH("labels", "metadata"));

struct entrypoint_body {
    const cJSON *entrypoint;
    const cJSON *command;
};

static const struct json_field entrypoint_fields[] = {
    {.name = "entrypoint",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct entrypoint_body, entrypoint),
     .schema = SCHEMA_ARGUMENTS,
     .about = ABOUT_COMMAND},
    {.name = "command",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct entrypoint_body, command),
     .schema = SCHEMA_ARGUMENTS,
     .about = ABOUT_COMMAND},
};
const struct json_table v1_entrypoint_table = JSON_TABLE("EntrypointUpdate", entrypoint_fields);

/* --- create */

static bool asks_for_network(const cJSON *value)
{
    const char *word = cJSON_GetStringValue(value);

    return word ? strcmp(word, "none") != 0 : v1_value_asks(value);
}

static int check_supported(const struct create_body *body, struct error *err)
{
    if (v1_value_asks(body->resources.gpu))
        return v1_value_not_supported("resources.gpu", "this installation has no GPUs", err);
    if (v1_value_asks(body->volumes))
        return v1_value_not_supported("volumes", "this installation has no volumes", err);
    if (asks_for_network(body->network))
        return v1_value_not_supported("network", "sandboxes have no network here, ask for none",
                                      err);
    if (body->privileged)
        return v1_value_not_supported("privileged", "a sandbox is never privileged", err);
    if (body->force_build)
        return v1_value_not_supported("force_build", "images are not built here", err);
    if (v1_value_asks(body->build_context))
        return v1_value_not_supported("build_context", "images are not built here", err);
    return 0;
}

/* Two names of one field: at most one is given. */
static int pick(const cJSON *value, const char *name, const cJSON *other, const char *other_name,
                const cJSON **ret_value, struct error *err)
{
    if (value && other)
        return error_set_field(err, ERR_INVALID_FIELD, other_name,
                               "'%s' is another name for '%s': give one", other_name, name);
    *ret_value = value ? value : other;
    return 0;
}

static int take_image(const struct create_body *body, struct container_spec *spec,
                      struct error *err)
{
    const char *image = body->image ? body->image : "base";

    if (body->image && body->runtime)
        return error_set_field(err, ERR_INVALID_FIELD, "runtime",
                               "'runtime' stands for an image: give one of the two");
    if (body->runtime)
        image = runtime_find(body->runtime)->image;
    if (!name_valid(image, LAUNCHER_IMAGE_SIZE - 1))
        return container_image_missing(image, err);
    if (v1_value_text(image, &spec->image, err) < 0 ||
        v1_value_text(body->runtime, &spec->runtime, err) < 0)
        return -1;
    return v1_value_text(body->name, &spec->name, err);
}

static int take_resources(const struct create_body *body, const struct config *config,
                          struct container_spec *spec, struct error *err)
{
    double cpu = body->resources.cpu;

    if (cpu < 0.1)
        return error_set_field(err, ERR_INVALID_FIELD, "resources.cpu",
                               "'resources.cpu' must be 0.1 to %d", CORES_MAX);
    spec->cpu_milli = (uint32_t)(cpu * 1000 + 0.5);
    spec->memory_mb = (uint32_t)config->sandbox_memory_mb;
    spec->disk_mb = (uint32_t)config->sandbox_disk_mb;
    spec->pids_max = (uint32_t)config->sandbox_pids;
    if (v1_value_size(body->resources.memory, "resources.memory", MEMORY_MIN_MB,
                      (uint64_t)config->sandbox_max_memory_mb, &spec->memory_mb, err) < 0)
        return -1;
    return v1_value_size(body->disk_limit, "disk_limit", DISK_MIN_MB, DISK_MAX_MB, &spec->disk_mb,
                         err);
}

static void take_times(const struct create_body *body, struct container_spec *spec)
{
    spec->run_timeout_s = (uint32_t)body->resources.timeout;
    spec->max_retries = (uint32_t)body->resources.max_retries;
    spec->command_timeout_s = (uint32_t)body->command_timeout;
    spec->idle_timeout_s = (uint32_t)body->idle_timeout;
    spec->max_lifetime_s = (uint32_t)body->max_lifetime;
}

static int take_maps(const struct create_body *body, struct container_spec *spec, struct error *err)
{
    const cJSON *environment = NULL;
    const cJSON *labels = NULL;

    if (pick(body->environment, "environment", body->env, "env", &environment, err) < 0 ||
        pick(body->labels, "labels", body->metadata, "metadata", &labels, err) < 0)
        return -1;
    if (environment ? v1_value_environment(environment, false, &spec->env_json, err)
                    : v1_value_text("{}", &spec->env_json, err))
        return -1;
    return labels ? v1_value_labels(labels, &spec->labels_json, err)
                  : v1_value_text("{}", &spec->labels_json, err);
}

static int take_spec(const struct create_body *body, const struct config *config,
                     struct container_spec *spec, struct error *err)
{
    spec->has_project = !id_is_none(&body->project_id);
    spec->project = body->project_id;
    spec->read_only_root = body->read_only_root;
    take_times(body, spec);
    if (check_supported(body, err) < 0 || take_image(body, spec, err) < 0 ||
        take_resources(body, config, spec, err) < 0 || take_maps(body, spec, err) < 0 ||
        v1_value_arguments(body->command, "command", &spec->command_json, err) < 0 ||
        v1_value_arguments(body->entrypoint, "entrypoint", &spec->entrypoint_json, err) < 0 ||
        v1_value_ports(body->ports, &spec->ports_json, err) < 0 ||
        v1_value_cap_add(body->cap_add, &spec->cap_add_json, err) < 0 ||
        v1_value_cap_drop(body->cap_drop, body->cap_add, &spec->cap_drop_json, err) < 0)
        return -1;
    return 0;
}

int v1_sandbox_request_create(const cJSON *json, const struct config *config,
                              struct container_spec *ret_spec, struct error *err)
{
    struct create_body body = {
        .resources = {.cpu = (double)config->sandbox_cpu_milli / 1000},
        .idle_timeout = config->sandbox_idle_timeout_s,
        .max_lifetime = config->sandbox_max_lifetime_s,
    };
    _cleanup_(container_spec_free) struct container_spec spec = {.name = NULL};

    if (json_decode(json, create_fields, ARRAY_SIZE(create_fields), "", &body, err) < 0 ||
        take_spec(&body, config, &spec, err) < 0)
        return -1;
    *ret_spec = spec;
    spec = (struct container_spec){.name = NULL};
    return 0;
}

/* --- the others */

int v1_sandbox_request_patch(const cJSON *json, struct store_container_patch *ret_patch,
                             char **ret_labels, struct error *err)
{
    struct patch_body body = {.name = NULL};
    const cJSON *labels = NULL;

    if (json_decode(json, patch_fields, ARRAY_SIZE(patch_fields), "", &body, err) < 0 ||
        pick(body.labels, "labels", body.metadata, "metadata", &labels, err) < 0)
        return -1;
    if (labels && v1_value_labels(labels, ret_labels, err) < 0)
        return -1;
    *ret_patch = (struct store_container_patch){
        .set_name = cJSON_HasObjectItem(json, "name"),
        .name = body.name,
        .set_command_timeout = cJSON_HasObjectItem(json, "command_timeout"),
        .command_timeout_s = (uint32_t)body.command_timeout,
        .labels_json = labels ? *ret_labels : NULL,
        .idle_timeout_s = (uint32_t)body.idle_timeout,
        .max_lifetime_s = (uint32_t)body.max_lifetime,
    };
    return 0;
}

int v1_sandbox_request_entrypoint(const cJSON *json, char **ret_entrypoint, char **ret_command,
                                  struct error *err)
{
    struct entrypoint_body body = {.entrypoint = NULL};
    _cleanup_free_ char *entrypoint = NULL;
    _cleanup_free_ char *command = NULL;

    if (json_decode(json, entrypoint_fields, ARRAY_SIZE(entrypoint_fields), "", &body, err) < 0 ||
        v1_value_arguments(body.entrypoint, "entrypoint", &entrypoint, err) < 0 ||
        v1_value_arguments(body.command, "command", &command, err) < 0)
        return -1;
    *ret_entrypoint = TAKE_PTR(entrypoint);
    *ret_command = TAKE_PTR(command);
    return 0;
}
