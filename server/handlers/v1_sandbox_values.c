#include "server/handlers/v1_sandbox_values.h"

#include "lib/base/util.h"
#include "server/services/container_launch.h"
#include "server/services/environment.h"

#include <atoll/launcher_proto.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

enum {
    ARGUMENTS_MAX = 256,
    ARGUMENTS_BYTES_MAX = 128 << 10,   /* as JSON; the agent takes them and the environment */
    ENVIRONMENT_BYTES_MAX = 256 << 10, /* in one request of 1 MiB */
    LABEL_NAME_MAX = 63,
    LABEL_VALUE_MAX = 255,
    CAPABILITY_NAME_MAX = 32,
};

/* " CHOWN DAC_OVERRIDE ..." */
#define CAPABILITY_NAME(name, number) " " #name
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
const struct json_table v1_port_table = JSON_TABLE_WITH(
    "SandboxPortRequest", port_fields,
    "{\"oneOf\":[{\"required\":[\"port\"],\"properties\":{\"port\":{\"type\":\"integer\"}}},"
    "{\"required\":[\"internal\"],\"properties\":{\"internal\":{\"type\":\"integer\"}}}]}");

int v1_value_text(const char *text, char **ret_copy, struct error *err)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        return error_no_memory(err);
    *ret_copy = copy;
    return 0;
}

int v1_value_not_supported(const char *field, const char *what, struct error *err)
{
    return error_set_field(err, ERR_NOT_SUPPORTED, field, "'%s': %s", field, what);
}

/* False for a value that asks for nothing: not given, null, false, "", [] and {}. */
bool v1_value_asks(const cJSON *value)
{
    if (!value || cJSON_IsFalse(value))
        return false;
    if (cJSON_IsString(value))
        return value->valuestring[0] != '\0';
    if (cJSON_IsObject(value) || cJSON_IsArray(value))
        return value->child != NULL;
    return true;
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
int v1_value_size(const cJSON *value, const char *field, uint64_t min, uint64_t max,
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
        return error_no_memory(err);
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
int v1_value_arguments(const cJSON *value, const char *field, char **ret_json, struct error *err)
{
    const char *text = cJSON_GetStringValue(value);
    const char *const shell[] = {"/bin/sh", "-c", text};
    _cleanup_cjson_ cJSON *wrapped = NULL;

    if (!v1_value_asks(value) && !cJSON_IsFalse(value) && !cJSON_IsObject(value))
        return 0;
    if (!text && !are_arguments(value))
        return invalid_arguments(field, err);
    if (text) {
        wrapped = cJSON_CreateStringArray(shell, (int)ARRAY_SIZE(shell));
        if (!wrapped)
            return error_no_memory(err);
    }
    return print_value(wrapped ? wrapped : value, field, ARGUMENTS_BYTES_MAX, ret_json, err);
}

int v1_value_environment(const cJSON *environment, bool nullable, char **ret_json,
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

int v1_value_labels(const cJSON *labels, char **ret_json, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, labels)
    {
        char field[ERROR_FIELD_MAX];

        (void)snprintf(field, sizeof(field), "labels.%s", entry->string);
        if (!label_name_valid(entry->string) || utf8_length(entry->valuestring) > LABEL_VALUE_MAX)
            return error_set_field(err, ERR_INVALID_FIELD, field,
                                   "'%s': a label's name is [A-Za-z0-9._/-], 1 to %d bytes, its "
                                   "value has at most %d characters",
                                   field, LABEL_NAME_MAX, LABEL_VALUE_MAX);
    }
    return print_value(labels, "labels", SIZE_MAX, ret_json, err);
}

int v1_value_label(const char *text, char **ret_labels, struct error *err)
{
    size_t length = strcspn(text, "=:"); /* a name has neither */
    _cleanup_cjson_ cJSON *labels = cJSON_CreateObject();
    char name[LABEL_NAME_MAX + 1] = "";

    if (length < sizeof(name) && text[length] != '\0')
        memcpy(name, text, length);
    if (!label_name_valid(name))
        return error_set_field(err, ERR_INVALID_FIELD, "label", "'label' must be name=value");
    if (!cJSON_AddStringToObject(labels, name, text + length + 1))
        return error_no_memory(err);
    return print_value(labels, "label", SIZE_MAX, ret_labels, err);
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
                   v1_value_asks(port.external) ? "external" : "subdomain");
    if (v1_value_asks(port.external) || v1_value_asks(port.subdomain))
        return v1_value_not_supported(field, "the service chooses where a port is reached", err);
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
            return error_no_memory(err);
    }
    return 0;
}

int v1_value_ports(const cJSON *ports, char **ret_json, struct error *err)
{
    _cleanup_cjson_ cJSON *normal = cJSON_CreateArray();

    if (!normal)
        return error_no_memory(err);
    if (normalise_ports(ports, normal, err) < 0)
        return -1;
    return print_value(normal, "ports", SIZE_MAX, ret_json, err);
}

/* --- capabilities */

int v1_value_cap_add(const cJSON *names, char **ret_json, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, names)
    {
        if (container_capability(entry->valuestring) == 0)
            return error_set_field(err, ERR_NOT_SUPPORTED, "cap_add",
                                   "'cap_add': %.32s cannot be given, but can be:" CAPABILITY_NAMES,
                                   entry->valuestring);
    }
    return names ? print_value(names, "cap_add", SIZE_MAX, ret_json, err)
                 : v1_value_text("[]", ret_json, err);
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
int v1_value_cap_drop(const cJSON *names, const cJSON *added, char **ret_json, struct error *err)
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
                 : v1_value_text("[]", ret_json, err);
}
