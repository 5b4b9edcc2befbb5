#include "server/services/environment.h"

#include "lib/base/util.h"
#include <string.h>

static const struct {
    const char *name;
    const char *value;
} defaults[] = {
    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    {"HOME", "/home/user"},
    {"USER", "user"},
    {"LOGNAME", "user"},
    {"LANG", "C.UTF-8"},
    /* Output that a killed program had written but still held would be lost otherwise. */
    {"PYTHONUNBUFFERED", "1"},
};

static bool name_is_usable(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    size_t length = strnlen(name, ENVIRONMENT_NAME_MAX + 1);

    if (length == 0 || length > ENVIRONMENT_NAME_MAX || !strchr(letters, name[0]))
        return false;
    for (size_t i = 1; i < length; i++) {
        if (!strchr(letters, name[i]) && (name[i] < '0' || name[i] > '9'))
            return false;
    }
    return true;
}

int environment_check(const cJSON *object, const char *field, bool nullable, struct error *err)
{
    const cJSON *entry;

    cJSON_ArrayForEach(entry, object)
    {
        const char *value = cJSON_GetStringValue(entry);
        char name[ERROR_FIELD_MAX];

        (void)snprintf(name, sizeof(name), "%s.%s", field, entry->string);
        if (!name_is_usable(entry->string))
            return error_set_field(err, ERR_INVALID_FIELD, name,
                                   "'%s': a name must match [A-Za-z_][A-Za-z0-9_]* and have at "
                                   "most %d bytes",
                                   name, ENVIRONMENT_NAME_MAX);
        if (nullable && cJSON_IsNull(entry))
            continue;
        if (!value || strlen(value) > ENVIRONMENT_VALUE_MAX)
            return error_set_field(err, ERR_INVALID_FIELD, name,
                                   "'%s' must be a string of at most %d bytes", name,
                                   ENVIRONMENT_VALUE_MAX);
    }
    return 0;
}

static int append(char **environment, size_t index, const char *name, const char *value,
                  struct error *err)
{
    if (asprintf(&environment[index], "%s=%s", name, value) < 0) {
        environment[index] = NULL;
        return error_no_memory(err);
    }
    return 0;
}

int environment_make(const char *env_json, char ***ret_environment, struct error *err)
{
    _cleanup_cjson_ cJSON *object = cJSON_Parse(env_json);
    _cleanup_environment_ char **environment = NULL;
    size_t count = 0;
    const cJSON *entry;

    if (!cJSON_IsObject(object))
        return error_set(err, ERR_INTERNAL, "the stored environment is not a JSON object");
    environment =
        calloc(ARRAY_SIZE(defaults) + (size_t)cJSON_GetArraySize(object) + 1, sizeof(char *));
    if (!environment)
        return error_no_memory(err);
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        if (!cJSON_GetObjectItemCaseSensitive(object, defaults[i].name) &&
            append(environment, count++, defaults[i].name, defaults[i].value, err) < 0)
            return -1;
    }
    cJSON_ArrayForEach(entry, object)
    {
        const char *value = cJSON_GetStringValue(entry);

        if (append(environment, count++, entry->string, value ? value : "", err) < 0)
            return -1;
    }
    *ret_environment = TAKE_PTR(environment);
    return 0;
}

void environment_free(char **environment)
{
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}
