#include "cli/body.h"

#include "cli/format.h"

#include <string.h>

/* "NAME=VALUE" into an object. */
static int add_pair(cJSON *object, const char *option, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    char name[256] = "";

    if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
        return error_set(err, ERR_BAD_REQUEST, "%s needs NAME=VALUE", option);
    memcpy(name, text, (size_t)(equals - text));
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddStringToObject(object, name, equals + 1);
    return 0;
}

int body_add_pairs(cJSON *body, const struct arguments *arguments, const char *option,
                   const char *member, struct error *err)
{
    cJSON *object = NULL;

    for (size_t i = 0; i < arguments->option_count; i++) {
        if (strcmp(arguments->options[i]->name, option) != 0)
            continue;
        if (!object)
            object = cJSON_AddObjectToObject(body, member);
        if (add_pair(object, option, arguments->values[i], err) < 0)
            return -1;
    }
    return 0;
}

int body_add_size(cJSON *body, const struct arguments *arguments, const char *option,
                  const char *member, struct error *err)
{
    const char *text = argument_value(arguments, option);
    int64_t value;

    if (!text)
        return 0;
    if (!parse_mebibytes(text, &value))
        return error_set(err, ERR_BAD_REQUEST, "%s needs a size such as 512m or 2g", option);
    cJSON_AddNumberToObject(body, member, (double)value);
    return 0;
}

void body_add_text(cJSON *body, const struct arguments *arguments, const char *option,
                   const char *member)
{
    if (argument_value(arguments, option))
        cJSON_AddStringToObject(body, member, argument_value(arguments, option));
}
