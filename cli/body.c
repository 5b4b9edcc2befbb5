#include "cli/body.h"

#include "cli/format.h"
#include "lib/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Reads to the end of standard input, at most `max` bytes, into room for one more. */
static int fill_from_input(char *data, size_t max, size_t *ret_size, struct error *err)
{
    size_t size = 0;
    ssize_t got;

    while ((got = read(STDIN_FILENO, data + size, max + 1 - size)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, "cannot read standard input");
        size += (size_t)got;
        if (size > max)
            return error_set(err, ERR_TOO_LARGE, "standard input has more than %zu bytes", max);
    }
    *ret_size = size;
    return 0;
}

/* Not as /dev/stdin, which would be opened anew: a socket cannot, nor another user's file. */
static int read_input(size_t max, char **ret_data, size_t *ret_size, struct error *err)
{
    _cleanup_free_ char *data = malloc(max + 1);

    if (!data)
        return error_set_errno(err, ENOMEM, "cannot read standard input");
    if (fill_from_input(data, max, ret_size, err) < 0)
        return -1;
    data[*ret_size] = '\0';
    *ret_data = TAKE_PTR(data);
    return 0;
}

int body_read_input(const char *path, size_t max, char **ret_data, size_t *ret_size,
                    struct error *err)
{
    int result = strcmp(path, "-") == 0 ? read_input(max, ret_data, ret_size, err)
                                        : read_file(AT_FDCWD, path, max, ret_data, ret_size, err);

    if (result < 0)
        err->code = ERR_BAD_REQUEST;
    return result;
}
