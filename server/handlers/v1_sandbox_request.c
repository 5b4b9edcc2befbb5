#include "server/handlers/v1_sandbox_request.h"

#include "lib/base/util.h"
#include "server/services/container_launch.h"
#include "server/services/environment.h"
#include "server/services/runtimes.h"

#include <atoll/launcher_proto.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

enum {
    SECONDS_MAX = 365 * 24 * 3600,
    COMMAND_TIMEOUT_MAX_S = 24 * 3600,
    RUN_TIMEOUT_MAX_S = 30 * 24 * 3600,
    ARGUMENTS_MAX = 256,
    ARGUMENTS_BYTES_MAX = 128 << 10,   /* as JSON; the agent takes them and the environment */
    ENVIRONMENT_BYTES_MAX = 256 << 10, /* in one request of 1 MiB */
    PORTS_MAX = 32,
    LABELS_MAX = 64,
    LABEL_NAME_MAX = 63,
    LABEL_VALUE_MAX = 255,
    CAPABILITIES_MAX = 32,
    CAPABILITY_NAME_MAX = 32,
    RETRIES_MAX = 100,
    CORES_MAX = 1024,
    MEMORY_MIN_MB = 16,
    DISK_MIN_MB = 16,
    DISK_MAX_MB = 1 << 20,
};

/* "CHOWN DAC_OVERRIDE ..." */
#define CAPABILITY_NAME(name, number) #name " "
#define CAPABILITY_NAMES              LAUNCHER_CAPABILITIES(CAPABILITY_NAME)

struct port_body {
    int64_t port;
    int64_t internal;
    const char *protocol;
    const cJSON *external;
    const cJSON *subdomain;
};

static const struct json_field port_fields[] = {
    {.name = "port",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = 65535,
     .offset = offsetof(struct port_body, port),
     .about = "The port inside the sandbox."},
    {.name = "internal",
     .type = JSON_TYPE_INTEGER,
     .min = 1,
     .max = 65535,
     .offset = offsetof(struct port_body, internal),
     .about = "Another name for port."},
    {.name = "protocol",
     .type = JSON_TYPE_STRING,
     .choices = "http|tcp",
     .offset = offsetof(struct port_body, protocol),
     .about = "What is spoken there; http when it is not given."},
    {.name = "external",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct port_body, external),
     .about = "Not supported: null."},
    {.name = "subdomain",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct port_body, subdomain),
     .about = "Not supported: null."},
};
static const struct json_table port_table = JSON_TABLE("SandboxPortRequest", port_fields);

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
     .about = "Cores, at least 0.1."},
    {.name = "memory",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct resources_body, memory),
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
     .about = ABOUT_COMMAND},
    {.name = "entrypoint",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct create_body, entrypoint),
     .about = ABOUT_COMMAND},
    {.name = "environment",
     .type = JSON_TYPE_MAP,
     .max = STORE_ENVIRONMENT_MAX,
     .offset = offsetof(struct create_body, environment),
     .about = "Variables of every command."},
    {.name = "env",
     .type = JSON_TYPE_MAP,
     .max = STORE_ENVIRONMENT_MAX,
     .offset = offsetof(struct create_body, env),
     .about = "Another name for environment."},
    {.name = "ports",
     .type = JSON_TYPE_ARRAY,
     .max = PORTS_MAX,
     .of = &port_table,
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
     .max = CAPABILITIES_MAX,
     .offset = offsetof(struct create_body, cap_add),
     .about = "Capabilities that commands of the sandbox may have, by their names without CAP_."},
    {.name = "cap_drop",
     .type = JSON_TYPE_STRINGS,
     .max = CAPABILITIES_MAX,
     .offset = offsetof(struct create_body, cap_drop),
     .about = "Capabilities not to have; ALL for any but those of cap_add."},
    {.name = "privileged",
     .type = JSON_TYPE_BOOL,
     .offset = offsetof(struct create_body, privileged),
     .about = "Not supported: false."},
    {.name = "labels",
     .type = JSON_TYPE_MAP,
     .max = LABELS_MAX,
     .offset = offsetof(struct create_body, labels),
     .about = "What to find it by."},
    {.name = "metadata",
     .type = JSON_TYPE_MAP,
     .max = LABELS_MAX,
     .offset = offsetof(struct create_body, metadata),
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
const struct json_table v1_sandbox_create_table = JSON_TABLE("SandboxCreate", create_fields);

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
     .max = LABELS_MAX,
     .offset = offsetof(struct patch_body, labels),
     .about = "Replaces all labels."},
    {.name = "metadata",
     .type = JSON_TYPE_MAP,
     .max = LABELS_MAX,
     .offset = offsetof(struct patch_body, metadata),
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
const struct json_table v1_sandbox_patch_table = JSON_TABLE("SandboxPatch", patch_fields);

struct entrypoint_body {
    const cJSON *entrypoint;
    const cJSON *command;
};

static const struct json_field entrypoint_fields[] = {
    {.name = "entrypoint",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct entrypoint_body, entrypoint),
     .about = ABOUT_COMMAND},
    {.name = "command",
     .type = JSON_TYPE_ANY,
     .offset = offsetof(struct entrypoint_body, command),
     .about = ABOUT_COMMAND},
};
const struct json_table v1_entrypoint_table = JSON_TABLE("EntrypointUpdate", entrypoint_fields);

static int no_memory(struct error *err)
{
    return error_set(err, ERR_INTERNAL, "out of memory");
}

static int copy_text(const char *text, char **ret_copy, struct error *err)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        return no_memory(err);
    *ret_copy = copy;
    return 0;
}

/* --- what cannot be given */

static int not_supported(const char *field, const char *what, struct error *err)
{
    return error_set_field(err, ERR_NOT_SUPPORTED, field, "'%s': %s", field, what);
}

/* False for a value that asks for nothing: not given, null, false, "", [] and {}. */
static bool asks(const cJSON *value)
{
    if (!value || cJSON_IsFalse(value))
        return false;
    if (cJSON_IsString(value))
        return value->valuestring[0] != '\0';
    if (cJSON_IsObject(value) || cJSON_IsArray(value))
        return value->child != NULL;
    return true;
}

static bool asks_for_network(const cJSON *value)
{
    const char *word = cJSON_GetStringValue(value);

    return word ? strcmp(word, "none") != 0 : asks(value);
}

static int check_supported(const struct create_body *body, struct error *err)
{
    if (asks(body->resources.gpu))
        return not_supported("resources.gpu", "this installation has no GPUs", err);
    if (asks(body->volumes))
        return not_supported("volumes", "this installation has no volumes", err);
    if (asks_for_network(body->network))
        return not_supported("network", "sandboxes have no network here: none", err);
    if (body->privileged)
        return not_supported("privileged", "a sandbox is never privileged", err);
    if (body->force_build)
        return not_supported("force_build", "images are not built here", err);
    if (asks(body->build_context))
        return not_supported("build_context", "images are not built here", err);
    return 0;
}

/* --- sizes */

static int invalid_size(const char *field, uint64_t min, uint64_t max, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, field,
                           "'%s' must be MiB as an integer, or a text like 512m or 2g: %llu to "
                           "%llu MiB",
                           field, (unsigned long long)min, (unsigned long long)max);
}

/* "512m", "1g", with an optional b, in either case. */
static bool parse_size(const char *text, uint64_t *ret_mb)
{
    size_t digits = strspn(text, "0123456789");
    int unit = tolower((unsigned char)text[digits]);
    const char *rest = text + digits + (unit != '\0');
    char number[16];

    if (digits == 0 || digits >= sizeof(number) || (unit != 'm' && unit != 'g') ||
        (strcasecmp(rest, "") != 0 && strcasecmp(rest, "b") != 0))
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (!parse_u64(number, UINT32_MAX, ret_mb))
        return false;
    *ret_mb *= unit == 'g' ? 1024 : 1;
    return true;
}

/* Leaves *ret_mb as it is when the value is not given. */
static int take_size(const cJSON *value, const char *field, uint64_t min, uint64_t max,
                     uint32_t *ret_mb, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    double number = cJSON_IsNumber(value) ? value->valuedouble : -1;
    uint64_t mb = 0;

    if (!value)
        return 0;
    if (text ? !parse_size(text, &mb)
             : number < 0 || number > UINT32_MAX || trunc(number) != number)
        return invalid_size(field, min, max, err);
    if (!text)
        mb = (uint64_t)number;
    if (mb < min || mb > max)
        return invalid_size(field, min, max, err);
    *ret_mb = (uint32_t)mb;
    return 0;
}

/* --- JSON that is stored as it came */

/* Prints `value`; ERR_INVALID_FIELD over `max` bytes. */
static int print_value(const cJSON *value, const char *field, size_t max, char **ret_json,
                       struct error *err)
{
    _cleanup_free_ char *json = cJSON_PrintUnformatted(value);

    if (!json)
        return no_memory(err);
    if (strlen(json) > max)
        return error_set_field(err, ERR_INVALID_FIELD, field,
                               "'%s' must have at most %zu bytes as JSON", field, max);
    *ret_json = TAKE_PTR(json);
    return 0;
}

static int invalid_arguments(const char *field, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, field,
                           "'%s' must be a text, or an array of 1 to %d texts, the first not empty",
                           field, ARGUMENTS_MAX);
}

static bool are_arguments(const cJSON *value)
{
    int count = cJSON_GetArraySize(value);
    const char *first = cJSON_GetStringValue(cJSON_GetArrayItem(value, 0));
    const cJSON *entry;

    if (!cJSON_IsArray(value) || count > ARGUMENTS_MAX || !first || first[0] == '\0')
        return false;
    cJSON_ArrayForEach(entry, value)
    {
        if (!cJSON_IsString(entry))
            return false;
    }
    return true;
}

/* A text is for the shell, as in a Dockerfile. Nothing, "" and [] are none. */
static int take_arguments(const cJSON *value, const char *field, char **ret_json, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    const char *const shell[] = {"/bin/sh", "-c", text};
    _cleanup_cjson_ cJSON *wrapped = NULL;

    if (!asks(value) && !cJSON_IsFalse(value) && !cJSON_IsObject(value))
        return 0;
    if (!text && !are_arguments(value))
        return invalid_arguments(field, err);
    if (text) {
        wrapped = cJSON_CreateStringArray(shell, (int)ARRAY_SIZE(shell));
        if (!wrapped)
            return no_memory(err);
    }
    return print_value(wrapped ? wrapped : value, field, ARGUMENTS_BYTES_MAX, ret_json, err);
}

int v1_sandbox_request_environment(const cJSON *environment, bool nullable, char **ret_json,
                                   struct error *err)
{
    if (environment_check(environment, "environment", nullable, err) < 0)
        return -1;
    return print_value(environment, "environment", ENVIRONMENT_BYTES_MAX, ret_json, err);
}

static bool label_name_valid(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-";
    size_t length = strlen(name);

    return length > 0 && length <= LABEL_NAME_MAX && strspn(name, letters) == length;
}

static int take_labels(const cJSON *labels, char **ret_json, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, labels)
    {
        char field[ERROR_FIELD_MAX];

        (void)snprintf(field, sizeof(field), "labels.%s", entry->string);
        if (!label_name_valid(entry->string) || strlen(entry->valuestring) > LABEL_VALUE_MAX)
            return error_set_field(err, ERR_INVALID_FIELD, field,
                                   "'%s': a label's name is [A-Za-z0-9._/-], 1 to %d bytes, its "
                                   "value has at most %d bytes",
                                   field, LABEL_NAME_MAX, LABEL_VALUE_MAX);
    }
    return print_value(labels, "labels", SIZE_MAX, ret_json, err);
}

int v1_sandbox_request_label(const char *text, char **ret_labels, struct error *err)
{
    const char *colon = strchr(text, ':');
    _cleanup_cjson_ cJSON *labels = cJSON_CreateObject();
    char name[LABEL_NAME_MAX + 1] = "";

    if (colon && (size_t)(colon - text) < sizeof(name))
        memcpy(name, text, (size_t)(colon - text));
    if (!label_name_valid(name))
        return error_set_field(err, ERR_INVALID_FIELD, "label", "'label' must be name:value");
    if (!cJSON_AddStringToObject(labels, name, colon + 1))
        return no_memory(err);
    return print_value(labels, "label", SIZE_MAX, ret_labels, err);
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

/* --- ports */

static int decode_port(const cJSON *item, size_t index, struct port_body *ret_port,
                       struct error *err)
{
    struct port_body port = {.protocol = "http"};
    char where[24];
    char field[ERROR_FIELD_MAX];

    (void)snprintf(where, sizeof(where), "ports[%zu]", index);
    if (json_decode(item, port_fields, ARRAY_SIZE(port_fields), where, &port, err) < 0)
        return -1;
    (void)snprintf(field, sizeof(field), "%s.%s", where,
                   asks(port.external) ? "external" : "subdomain");
    if (asks(port.external) || asks(port.subdomain))
        return not_supported(field, "the service chooses where a port is reached", err);
    (void)snprintf(field, sizeof(field), "%s.port", where);
    if ((port.port == 0) == (port.internal == 0))
        return error_set_field(err, port.port ? ERR_INVALID_FIELD : ERR_MISSING_FIELD, field,
                               "'%s' is required, once: as port or as internal", field);
    port.port += port.internal;
    *ret_port = port;
    return 0;
}

/* An array of {port, protocol}. */
static int normalise_ports(const cJSON *ports, cJSON *normal, struct error *err)
{
    const cJSON *item;
    size_t index = 0;

    cJSON_ArrayForEach(item, ports)
    {
        struct port_body port = {.port = 0};
        const cJSON *other;
        cJSON *entry;

        if (decode_port(item, index++, &port, err) < 0)
            return -1;
        cJSON_ArrayForEach(other, normal)
        {
            if (cJSON_GetObjectItemCaseSensitive(other, "port")->valueint == (int)port.port)
                return error_set_field(err, ERR_INVALID_FIELD, "ports", "'ports' has %d twice",
                                       (int)port.port);
        }
        entry = cJSON_CreateObject();
        cJSON_AddItemToArray(normal, entry);
        if (!cJSON_AddNumberToObject(entry, "port", (double)port.port) ||
            !cJSON_AddStringToObject(entry, "protocol", port.protocol))
            return no_memory(err);
    }
    return 0;
}

static int take_ports(const cJSON *ports, char **ret_json, struct error *err)
{
    _cleanup_cjson_ cJSON *normal = cJSON_CreateArray();

    if (!normal)
        return no_memory(err);
    if (normalise_ports(ports, normal, err) < 0)
        return -1;
    return print_value(normal, "ports", SIZE_MAX, ret_json, err);
}

/* --- capabilities */

static int take_capabilities(const cJSON *names, char **ret_json, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, names)
    {
        if (container_capability(entry->valuestring) == 0)
            return error_set_field(err, ERR_NOT_SUPPORTED, "cap_add",
                                   "'cap_add': %.32s cannot be given; " CAPABILITY_NAMES " can",
                                   entry->valuestring);
    }
    return names ? print_value(names, "cap_add", SIZE_MAX, ret_json, err)
                 : copy_text("[]", ret_json, err);
}

/* A name of capabilities(7) without CAP_, or ALL. */
static bool can_be_dropped(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    size_t length = strlen(name);

    return length > 0 && length <= CAPABILITY_NAME_MAX && strspn(name, letters) == length;
}

static bool holds(const cJSON *names, const char *name)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, names)
    {
        if (strcmp(entry->valuestring, name) == 0)
            return true;
    }
    return false;
}

/* There is nothing to drop but what is added: a name in both lists is a contradiction. */
static int take_dropped(const cJSON *names, const cJSON *added, char **ret_json, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, names)
    {
        if (!can_be_dropped(entry->valuestring) || holds(added, entry->valuestring))
            return error_set_field(err, ERR_INVALID_FIELD, "cap_drop",
                                   "'cap_drop' must hold names of capabilities, like CHOWN, that "
                                   "'cap_add' does not hold, or ALL");
    }
    return names ? print_value(names, "cap_drop", SIZE_MAX, ret_json, err)
                 : copy_text("[]", ret_json, err);
}

/* --- create */

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
        return error_set_field(err, ERR_NOT_SUPPORTED, "image",
                               "the image '%s' is not installed here", image);
    if (copy_text(image, &spec->image, err) < 0 ||
        copy_text(body->runtime, &spec->runtime, err) < 0)
        return -1;
    return copy_text(body->name, &spec->name, err);
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
    if (take_size(body->resources.memory, "resources.memory", MEMORY_MIN_MB,
                  (uint64_t)config->sandbox_max_memory_mb, &spec->memory_mb, err) < 0)
        return -1;
    return take_size(body->disk_limit, "disk_limit", DISK_MIN_MB, DISK_MAX_MB, &spec->disk_mb, err);
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
    if (environment ? v1_sandbox_request_environment(environment, false, &spec->env_json, err)
                    : copy_text("{}", &spec->env_json, err))
        return -1;
    return labels ? take_labels(labels, &spec->labels_json, err)
                  : copy_text("{}", &spec->labels_json, err);
}

static int take_spec(const struct create_body *body, const struct config *config,
                     struct container_spec *spec, struct error *err)
{
    static const struct id none;

    spec->has_project = !id_equal(&body->project_id, &none);
    spec->project = body->project_id;
    spec->read_only_root = body->read_only_root;
    take_times(body, spec);
    if (check_supported(body, err) < 0 || take_image(body, spec, err) < 0 ||
        take_resources(body, config, spec, err) < 0 || take_maps(body, spec, err) < 0 ||
        take_arguments(body->command, "command", &spec->command_json, err) < 0 ||
        take_arguments(body->entrypoint, "entrypoint", &spec->entrypoint_json, err) < 0 ||
        take_ports(body->ports, &spec->ports_json, err) < 0 ||
        take_capabilities(body->cap_add, &spec->cap_add_json, err) < 0 ||
        take_dropped(body->cap_drop, body->cap_add, &spec->cap_drop_json, err) < 0)
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
    if (labels && take_labels(labels, ret_labels, err) < 0)
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
        take_arguments(body.entrypoint, "entrypoint", &entrypoint, err) < 0 ||
        take_arguments(body.command, "command", &command, err) < 0)
        return -1;
    *ret_entrypoint = TAKE_PTR(entrypoint);
    *ret_command = TAKE_PTR(command);
    return 0;
}
