#include "server/handlers/project_container_request.h"

#include "lib/base/util.h"
#include "server/handlers/schemas.h"
#include "server/handlers/v1_sandbox_values.h"
#include "server/services/images.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_MAX_CHARACTERS = 255,
    CORES_MAX = 1024,
    SECONDS_MAX = 365 * 24 * 3600,
    COMMAND_TIMEOUT_MAX_S = 24 * 3600,
    MEMORY_MIN_MB = 16,
    DISK_MIN_MB = 16,
    DISK_MAX_MB = 1 << 20,
    PORT_MAX = 65535,
    /* What counts when the configuration does not say. */
    MEMORY_DEFAULT_MB = 512,
    DISK_DEFAULT_MB = 1024,
    IDLE_DEFAULT_S = 3600,
    LIFETIME_DEFAULT_S = 86400,
    COMMAND_DEFAULT_S = 300,
};

#define CPU_DEFAULT 0.5

/* What may stand in for a type's own image, and what it lacks then. */
static const struct project_type {
    const char *name;
    const char *substitute; /* NULL: none */
    const char *lacks;
} types[] = {
    {"node", "base", "node, without npm, yarn and pnpm"},
    {"python", "base", "python, without pip"},
    {"static", "base", "python3 -m http.server, without nginx"},
    {"java", NULL, NULL},
    {"go", NULL, NULL},
    {"rust", NULL, NULL},
    {"ruby", NULL, NULL},
    {"php", NULL, NULL},
};

#define TYPE_CHOICES "node|python|java|go|rust|ruby|php|static"

struct config_body {
    const cJSON *memory_limit;
    double cpu_limit;
    const cJSON *disk_limit;
    int64_t idle_timeout;
    int64_t max_lifetime;
    int64_t command_timeout;
    bool network_enabled;
    const cJSON *exposed_ports;
    bool read_only_root;
    bool privileged;
    const cJSON *cap_drop;
    const cJSON *cap_add;
};

#define SECONDS(name_, max_, about_)                                                               \
    {                                                                                              \
        .name = #name_, .type = JSON_TYPE_INTEGER, .min = 1, .max = (max_),                        \
        .offset = offsetof(struct config_body, name_), .about = (about_)                           \
    }

static const struct json_field config_fields[] = {
    {.name = "memory_limit",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct config_body, memory_limit),
     .schema = SCHEMA_SIZE("\"minimum\":16,\"maximum\":1048576"),
     .about = "A text like 512m or 1g, or MiB as an integer; 512m."},
    {.name = "cpu_limit",
     .type = JSON_TYPE_NUMBER,
     .min = 0,
     .max = CORES_MAX,
     .offset = offsetof(struct config_body, cpu_limit),
     .schema = "{\"minimum\":0.1}",
     .about = "Cores, at least 0.1; 0.5."},
    {.name = "disk_limit",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct config_body, disk_limit),
     .schema = SCHEMA_SIZE("\"minimum\":16,\"maximum\":1048576"),
     .about = "Size of what it can write, as memory_limit; 1g."},
    SECONDS(idle_timeout, SECONDS_MAX, "Seconds without use after which it is stopped; 3600."),
    SECONDS(max_lifetime, SECONDS_MAX, "Seconds after which it is deleted; 86400."),
    SECONDS(command_timeout, COMMAND_TIMEOUT_MAX_S,
            "Seconds that a command may run that names no timeout; 300."),
    {.name = "network_enabled",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct config_body, network_enabled),
     .about = "There is no network: unless it is false, a warning says so."},
    {.name = "exposed_ports",
     .type = JSON_TYPE_ARRAY,
     .max = V1_PORTS_MAX,
     .offset = offsetof(struct config_body, exposed_ports),
     .schema = "{\"items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535},"
               "\"uniqueItems\":true}",
     .about = "What listens inside. It is kept, and not reached from outside: a warning says so."},
    {.name = "read_only_root",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct config_body, read_only_root),
     .about = "The root file system cannot be written."},
    {.name = "privileged",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct config_body, privileged),
     .about = "Not supported: false."},
    {.name = "cap_drop",
     .type = JSON_TYPE_STRINGS,
     .max = V1_CAPABILITIES_MAX,
     .offset = offsetof(struct config_body, cap_drop),
     .schema = SCHEMA_CAPABILITIES,
     .about = "Capabilities not to have; ALL for any but those of cap_add."},
    {.name = "cap_add",
     .type = JSON_TYPE_STRINGS,
     .max = V1_CAPABILITIES_MAX,
     .offset = offsetof(struct config_body, cap_add),
     .about = "Capabilities that commands may have, by their names without CAP_; none."},
};
static const struct json_table config_table = JSON_TABLE("ProjectContainerConfig", config_fields);

struct create_body {
    const char *project_type;
    struct config_body config;
};

static const struct json_field create_fields[] = {
    {.name = "project_type",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = TYPE_CHOICES,
     .offset = offsetof(struct create_body, project_type),
     .about = "Names the image."},
    {.name = "config",
     .type = JSON_TYPE_RECORD,
     .of = &config_table,
     .offset = offsetof(struct create_body, config)},
};
const struct json_table project_container_create_table =
    JSON_TABLE("ProjectContainerCreate", create_fields);

static int warn(cJSON **warnings, const char *text, struct error *err)
{
    if (!*warnings)
        *warnings = cJSON_CreateArray();
    if (!*warnings || !cJSON_AddItemToArray(*warnings, cJSON_CreateString(text)))
        return error_no_memory(err);
    return 0;
}

/* --- the image */

static bool is_installed(const struct image_list *images, const char *name)
{
    for (size_t i = 0; i < images->count; i++)
        if (strcmp(images->items[i].name, name) == 0)
            return true;
    return false;
}

static const struct project_type *find_type(const char *name)
{
    const struct project_type *type = types;

    while (strcmp(type->name, name) != 0)
        type++; /* the table of fields has let no other word in */
    return type;
}

static int warn_of_substitute(const struct project_type *type, cJSON **warnings, struct error *err)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "project_type: there is no image '%s' here, '%s' takes its place: it has %s",
                   type->name, type->substitute, type->lacks);
    return warn(warnings, text, err);
}

/* The image of the type's name where there is one: the operator decides what is in it. */
static int choose_image(struct call *call, const char *type_name, struct container_spec *spec,
                        cJSON **warnings, struct error *err)
{
    const struct project_type *type = find_type(type_name);
    _cleanup_(image_list_free) struct image_list images = {.items = NULL};

    if (images_list(call->services, &images, err) < 0)
        return -1;
    if (is_installed(&images, type->name))
        return v1_value_text(type->name, &spec->image, err);
    if (!type->substitute || !is_installed(&images, type->substitute))
        return error_set_field(err, ERR_NOT_SUPPORTED, "project_type",
                               "there is no image '%s' here: an operator installs one by `atoll "
                               "image import %s ROOTFS.tar.gz`",
                               type->name, type->name);
    if (v1_value_text(type->substitute, &spec->image, err) < 0)
        return -1;
    return warn_of_substitute(type, warnings, err);
}

/* --- the rest of the configuration */

static bool is_port(const cJSON *value)
{
    return cJSON_IsNumber(value) && value->valuedouble == value->valueint && value->valueint >= 1 &&
           value->valueint <= PORT_MAX;
}

/* Numbers become what /v1 keeps of ports, which refuses one that comes twice. */
static int take_ports(const cJSON *numbers, struct container_spec *spec, struct error *err)
{
    _cleanup_cjson_ cJSON *ports = cJSON_CreateArray();
    const cJSON *number;

    cJSON_ArrayForEach(number, numbers)
    {
        cJSON *port = cJSON_CreateObject();

        if (!is_port(number)) {
            cJSON_Delete(port);
            return error_set_field(err, ERR_INVALID_FIELD, "config.exposed_ports",
                                   "'config.exposed_ports' must hold ports, 1 to %d", PORT_MAX);
        }
        if (!cJSON_AddNumberToObject(port, "port", number->valueint) ||
            !cJSON_AddItemToArray(ports, port)) {
            cJSON_Delete(port);
            return error_no_memory(err);
        }
    }
    return v1_value_ports(ports, &spec->ports_json, err);
}

static int take_limits(const struct config_body *body, const struct config *config,
                       struct container_spec *spec, struct error *err)
{
    uint32_t most = (uint32_t)config->sandbox_max_memory_mb;

    if (body->cpu_limit < 0.1)
        return error_set_field(err, ERR_INVALID_FIELD, "config.cpu_limit",
                               "'config.cpu_limit' must be 0.1 to %d", CORES_MAX);
    spec->cpu_milli = (uint32_t)(body->cpu_limit * 1000 + 0.5);
    spec->memory_mb = most < MEMORY_DEFAULT_MB ? most : MEMORY_DEFAULT_MB;
    spec->disk_mb = DISK_DEFAULT_MB;
    spec->pids_max = (uint32_t)config->sandbox_pids;
    spec->idle_timeout_s = (uint32_t)body->idle_timeout;
    spec->max_lifetime_s = (uint32_t)body->max_lifetime;
    spec->command_timeout_s = (uint32_t)body->command_timeout;
    spec->read_only_root = body->read_only_root;
    if (v1_value_size(body->memory_limit, "config.memory_limit", MEMORY_MIN_MB, most,
                      &spec->memory_mb, err) < 0)
        return -1;
    return v1_value_size(body->disk_limit, "config.disk_limit", DISK_MIN_MB, DISK_MAX_MB,
                         &spec->disk_mb, err);
}

static int warn_of_config(const struct config_body *body, cJSON **warnings, struct error *err)
{
    if (body->network_enabled &&
        warn(warnings, "network_enabled: sandboxes have no network here", err) < 0)
        return -1;
    if (body->exposed_ports && !body->exposed_ports->child)
        return 0;
    return warn(warnings, "exposed_ports: ports are not reached from outside here", err);
}

static int take_config(const struct config_body *body, const struct config *config,
                       struct container_spec *spec, cJSON **warnings, struct error *err)
{
    if (body->privileged)
        return v1_value_not_supported("config.privileged", "a container is never privileged", err);
    if (take_limits(body, config, spec, err) < 0 ||
        take_ports(body->exposed_ports, spec, err) < 0 ||
        v1_value_cap_add(body->cap_add, &spec->cap_add_json, err) < 0 ||
        v1_value_cap_drop(body->cap_drop, body->cap_add, &spec->cap_drop_json, err) < 0 ||
        v1_value_text("{}", &spec->env_json, err) < 0 ||
        v1_value_text("{}", &spec->labels_json, err) < 0)
        return -1;
    return warn_of_config(body, warnings, err);
}

static int take_name(const struct call *call, struct container_spec *spec, struct error *err)
{
    size_t length = utf8_length(call->name);

    if (length == 0 || length > NAME_MAX_CHARACTERS)
        return error_set_field(err, ERR_INVALID_FIELD, "project",
                               "the name of a project has 1 to %d characters", NAME_MAX_CHARACTERS);
    if (v1_value_text(call->name, &spec->client_name, err) < 0)
        return -1;
    return v1_value_text(call->name, &spec->name, err);
}

static int take_body(struct call *call, struct container_spec *spec, cJSON **warnings,
                     struct error *err)
{
    struct create_body body = {
        .config = {.cpu_limit = CPU_DEFAULT,
                   .idle_timeout = IDLE_DEFAULT_S,
                   .max_lifetime = LIFETIME_DEFAULT_S,
                   .command_timeout = COMMAND_DEFAULT_S,
                   .network_enabled = true},
    };
    _cleanup_cjson_ cJSON *json = NULL;

    if (take_name(call, spec, err) < 0 ||
        call_body(call, &project_container_create_table, &json, &body, err) < 0 ||
        take_config(&body.config, call->services->config, spec, warnings, err) < 0)
        return -1;
    return choose_image(call, body.project_type, spec, warnings, err);
}

int project_container_request(struct call *call, struct container_spec *ret_spec,
                              cJSON **ret_warnings, struct error *err)
{
    _cleanup_(container_spec_free) struct container_spec spec = {.name = NULL};
    _cleanup_cjson_ cJSON *warnings = NULL;

    if (take_body(call, &spec, &warnings, err) < 0)
        return -1;
    *ret_spec = spec;
    spec = (struct container_spec){.name = NULL};
    *ret_warnings = TAKE_PTR(warnings);
    return 0;
}
