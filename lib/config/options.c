#include "lib/config/config.h"
#include <string.h>

enum option_index { OPTION_CONFIG, OPTION_BACKEND, OPTION_SET, OPTION_COUNT };

const struct config_option config_option_rows[] = {
    [OPTION_CONFIG] = {"--config", "FILE", "read this TOML file", NULL},
    [OPTION_BACKEND] = {"--backend", "NAME", "the same as --set sandbox.backend=NAME",
                        "sandbox.backend"},
    [OPTION_SET] = {"--set", "SECTION.KEY=VALUE", "one value; wins over environment and file",
                    NULL},
};
const size_t config_option_count = OPTION_COUNT;

/* The option that `argument` is; *ret_value points after its '=' or is NULL. */
static size_t find_option(const char *argument, const char **ret_value)
{
    const char *equals = strchrnul(argument, '=');
    size_t length = (size_t)(equals - argument);
    size_t i;

    for (i = 0; i < OPTION_COUNT; i++) {
        if (strlen(config_option_rows[i].name) == length &&
            memcmp(config_option_rows[i].name, argument, length) == 0)
            break;
    }
    *ret_value = *equals ? equals + 1 : NULL;
    return i;
}

static int add_set(struct config_options *options, const char *key, const char *value,
                   struct error *err)
{
    if (options->set_count == CONFIG_OPTIONS_MAX)
        return error_set(err, ERR_INVALID_FIELD, "command line: more than %d options",
                         CONFIG_OPTIONS_MAX);
    options->set[options->set_count] = key;
    options->set_values[options->set_count++] = value;
    return 0;
}

static int apply(struct config_options *options, size_t index, const char *value, struct error *err)
{
    const char *equals;

    if (index == OPTION_CONFIG) {
        if (options->file)
            return error_set(err, ERR_INVALID_FIELD, "command line: --config is given twice");
        options->file = value;
        return 0;
    }
    if (config_option_rows[index].key)
        return add_set(options, config_option_rows[index].key, value, err);
    equals = strchr(value, '=');
    if (!equals)
        return error_set(err, ERR_INVALID_FIELD, "command line: --set needs SECTION.KEY=VALUE");
    return add_set(options, value, equals + 1, err);
}

int config_take_options(int *argc, char **argv, struct config_options *ret_options,
                        struct error *err)
{
    struct config_options options = {0};
    int kept = 0;
    int i;

    for (i = 0; i < *argc && (i == 0 || strcmp(argv[i], "--") != 0); i++) {
        const char *value;
        size_t index = i == 0 ? OPTION_COUNT : find_option(argv[i], &value);

        if (index == OPTION_COUNT) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!value && i + 1 == *argc)
            return error_set(err, ERR_INVALID_FIELD, "command line: %s needs a value", argv[i]);
        if (apply(&options, index, value ? value : argv[++i], err) < 0)
            return -1;
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    argv[kept] = NULL;
    *argc = kept;
    *ret_options = options;
    return 0;
}

int config_take_only_options(int argc, char **argv, struct config_options *ret_options,
                             struct error *err)
{
    struct config_options options;

    if (config_take_options(&argc, argv, &options, err) < 0)
        return -1;
    if (argc > 1)
        return error_set(err, ERR_INVALID_FIELD,
                         "command line: unknown argument %.128s; --help tells the options",
                         argv[1]);
    *ret_options = options;
    return 0;
}
