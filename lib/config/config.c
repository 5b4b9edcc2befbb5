#include "lib/config/config.h"

#include "lib/base/address.h"
#include "lib/base/util.h"
#include "lib/config/toml.h"
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
#define CONFIG_ROW(member, section, key, env, type, def, min, max, choices, reload, meaning)       \
    {(section),                                                                                    \
     (key),                                                                                        \
     (env),                                                                                        \
     (type),                                                                                       \
     (def),                                                                                        \
     (min),                                                                                        \
     (max),                                                                                        \
     (choices),                                                                                    \
     (reload),                                                                                     \
     (meaning),                                                                                    \
     offsetof(struct config, member)},
    CONFIG_KEYS(CONFIG_ROW)
#undef CONFIG_ROW
};

/* A configuration in the making. */
struct config_loader {
    struct config *config;
    struct config_origins *origins;
};

static char **string_member(struct config *config, const struct config_key *key)
{
    return (char **)(void *)((char *)config + key->offset);
}

static int64_t *integer_member(struct config *config, const struct config_key *key)
{
    return (int64_t *)(void *)((char *)config + key->offset);
}

static bool *bool_member(struct config *config, const struct config_key *key)
{
    return (bool *)(void *)((char *)config + key->offset);
}

static bool choice_allowed(const char *choices, const char *text)
{
    size_t length = strlen(text);

    for (const char *word = choices; word;) {
        const char *end = strchrnul(word, '|');

        if ((size_t)(end - word) == length && memcmp(word, text, length) == 0)
            return true;
        word = *end ? end + 1 : NULL;
    }
    return false;
}

/* Values go into environments, paths and log lines: a control character has no place in them. */
static bool printable(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    }
    return utf8_valid(text, strlen(text));
}

static int set_string(struct config *config, const struct config_key *key, const char *text,
                      struct error *err)
{
    char **member = string_member(config, key);
    size_t length = strlen(text);
    char *copy;

    /* The text is not repeated in the message: it may hold a password. */
    if ((int64_t)length < key->minimum || (int64_t)length > key->maximum)
        return error_set(err, ERR_INVALID_FIELD,
                         "%s.%s has %zu bytes; %" PRId64 " to %" PRId64 " are allowed",
                         key->section, key->name, length, key->minimum, key->maximum);
    if (!printable(text))
        return error_set(err, ERR_INVALID_FIELD, "%s.%s holds a control character or invalid UTF-8",
                         key->section, key->name);
    if (key->choices && !choice_allowed(key->choices, text))
        return error_set(err, ERR_INVALID_FIELD, "%s.%s is \"%s\"; one of %s is needed",
                         key->section, key->name, text, key->choices);
    copy = strdup(text);
    if (!copy)
        return error_no_memory(err);
    free(*member);
    *member = copy;
    return 0;
}

static int set_integer(struct config *config, const struct config_key *key, int64_t value,
                       struct error *err)
{
    if (value < key->minimum || value > key->maximum)
        return error_set(err, ERR_INVALID_FIELD,
                         "%s.%s is %" PRId64 "; %" PRId64 " to %" PRId64 " are allowed",
                         key->section, key->name, value, key->minimum, key->maximum);
    *integer_member(config, key) = value;
    return 0;
}

static bool integer_from_text(const char *text, int64_t *ret_value)
{
    bool negative = *text == '-';
    uint64_t magnitude;

    if (!parse_u64(text + negative, INT64_MAX, &magnitude))
        return false;
    *ret_value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

/* From the environment, the command line and the table every value arrives as text. */
static int set_text(struct config *config, const struct config_key *key, const char *text,
                    struct error *err)
{
    int64_t value;

    switch (key->type) {
    case CONFIG_STRING:
        return set_string(config, key, text, err);
    case CONFIG_INTEGER:
        if (!integer_from_text(text, &value))
            return error_set(err, ERR_INVALID_FIELD, "%s.%s needs an integer", key->section,
                             key->name);
        return set_integer(config, key, value, err);
    case CONFIG_BOOL:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return error_set(err, ERR_INVALID_FIELD, "%s.%s needs true or false", key->section,
                             key->name);
        *bool_member(config, key) = strcmp(text, "true") == 0;
        return 0;
    }
    return error_set(err, ERR_INTERNAL, "%s.%s has no type", key->section, key->name);
}

static const struct config_key *find_key(const char *section, size_t section_length,
                                         const char *name, size_t name_length)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];

        if (strlen(key->section) == section_length && strlen(key->name) == name_length &&
            memcmp(key->section, section, section_length) == 0 &&
            memcmp(key->name, name, name_length) == 0)
            return key;
    }
    return NULL;
}

static bool known_section(const char *section)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].section, section) == 0)
            return true;
    }
    return false;
}

static void note_origin(struct config_loader *loader, const struct config_key *key,
                        enum config_source source, unsigned line)
{
    loader->origins->keys[key - config_keys].source = source;
    loader->origins->keys[key - config_keys].line = line;
}

static int apply_file_value(const struct toml_value *value, void *userdata, struct error *err)
{
    static const char *const type_names[] = {"a string", "an integer", "true or false"};
    struct config_loader *loader = userdata;
    const struct config_key *key =
        find_key(value->table, strlen(value->table), value->key, strlen(value->key));

    if (value->table[0] == '\0')
        return error_set(err, ERR_INVALID_FIELD, "the key %s stands outside of a [section]",
                         value->key);
    if (!known_section(value->table))
        return error_set(err, ERR_INVALID_FIELD, "unknown section [%s]", value->table);
    if (!key)
        return error_set(err, ERR_INVALID_FIELD, "unknown key %s in [%s]", value->key,
                         value->table);
    if ((int)value->type != (int)key->type)
        return error_set(err, ERR_INVALID_FIELD, "%s.%s needs %s", key->section, key->name,
                         type_names[key->type]);
    note_origin(loader, key, CONFIG_FROM_FILE, value->line);
    switch (key->type) {
    case CONFIG_STRING:
        return set_string(loader->config, key, value->string, err);
    case CONFIG_INTEGER:
        return set_integer(loader->config, key, value->integer, err);
    case CONFIG_BOOL:
        *bool_member(loader->config, key) = value->boolean;
        return 0;
    }
    return 0;
}

_Static_assert((int)TOML_STRING == (int)CONFIG_STRING && (int)TOML_INTEGER == (int)CONFIG_INTEGER &&
                   (int)TOML_BOOL == (int)CONFIG_BOOL,
               "apply_file_value compares the two");

static int apply_defaults(struct config_loader *loader, struct error *err)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (set_text(loader->config, &config_keys[i], config_keys[i].default_text, err) < 0)
            return error_wrap(err, "default");
    }
    return 0;
}

static int apply_text(struct config_loader *loader, const char *name, const char *text, size_t size,
                      struct error *err)
{
    (void)snprintf(loader->origins->file, sizeof(loader->origins->file), "%s", name);
    return toml_parse(name, text, size, apply_file_value, loader, err);
}

static int apply_file(struct config_loader *loader, const char *path, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (read_file(AT_FDCWD, path, TOML_TEXT_MAX, &text, &size, err) < 0)
        return -1;
    return apply_text(loader, path, text, size, err);
}

static int apply_environment(struct config_loader *loader, struct error *err)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        const char *text = getenv(key->environment);

        if (!text)
            continue;
        if (set_text(loader->config, key, text, err) < 0)
            return error_wrap(err, "environment %s", key->environment);
        note_origin(loader, key, CONFIG_FROM_ENVIRONMENT, 0);
    }
    return 0;
}

static int apply_option(struct config_loader *loader, const char *name, const char *value,
                        struct error *err)
{
    size_t length = (size_t)(strchrnul(name, '=') - name);
    const char *dot = memchr(name, '.', length);
    const struct config_key *key = NULL;

    if (dot)
        key = find_key(name, (size_t)(dot - name), dot + 1, length - (size_t)(dot - name) - 1);
    if (!key)
        return error_set(err, ERR_INVALID_FIELD, "command line: unknown key %.*s",
                         (int)(length > 128 ? 128 : length), name);
    if (set_text(loader->config, key, value, err) < 0)
        return error_wrap(err, "command line");
    note_origin(loader, key, CONFIG_FROM_OPTION, 0);
    return 0;
}

static int apply_options(struct config_loader *loader, const struct config_options *options,
                         struct error *err)
{
    for (size_t i = 0; i < options->set_count; i++) {
        if (apply_option(loader, options->set[i], options->set_values[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Refuses with the origin of the key at fault in front. */
static int refuse(const struct config_loader *loader, enum config_key_index index,
                  const char *because, struct error *err)
{
    char origin[CONFIG_ORIGIN_SIZE];

    config_origin_text(loader->origins, index, origin);
    return error_set(err, ERR_INVALID_FIELD, "%.200s: %s.%s %s", origin, config_keys[index].section,
                     config_keys[index].name, because);
}

/*
 * A value that callers get unless they name one may not be over the most that they may name. The
 * message is about the one of the two that somebody set, and its file and line.
 */
static int check_within(const struct config_loader *loader, enum config_key_index index,
                        enum config_key_index most, struct error *err)
{
    int64_t value = *integer_member(loader->config, &config_keys[index]);
    int64_t limit = *integer_member(loader->config, &config_keys[most]);
    bool is_default = loader->origins->keys[index].source == CONFIG_FROM_DEFAULT;
    enum config_key_index other = is_default ? index : most;
    char because[128];

    if (value <= limit)
        return 0;
    (void)snprintf(because, sizeof(because), "is %" PRId64 ", %s %s.%s, which is %" PRId64,
                   is_default ? limit : value, is_default ? "under" : "over",
                   config_keys[other].section, config_keys[other].name, is_default ? value : limit);
    return refuse(loader, is_default ? most : index, because, err);
}

/* What one key alone cannot tell; and the one name that stands for another. */
static int check_together(const struct config_loader *loader, struct error *err)
{
    struct config *config = loader->config;

    if (strcmp(config->sandbox_backend, "nsjail") == 0 &&
        config_set(config, CONFIG_KEY_sandbox_backend, "native", err) < 0)
        return -1;
    if (strcmp(config->auth_mode, "off") == 0 && !host_is_loopback(config->server_host))
        return refuse(loader, CONFIG_KEY_auth_mode,
                      "is \"off\": server.host must be a loopback address", err);
    if (check_within(loader, CONFIG_KEY_sandbox_timeout_ms, CONFIG_KEY_sandbox_max_timeout_ms,
                     err) < 0 ||
        check_within(loader, CONFIG_KEY_sandbox_memory_mb, CONFIG_KEY_sandbox_max_memory_mb, err) <
            0)
        return -1;
    if (config->state_dir[0] != '/')
        return refuse(loader, CONFIG_KEY_state_dir, "must be an absolute path", err);
    if (config->state_run_dir[0] != '/')
        return refuse(loader, CONFIG_KEY_state_run_dir, "must be an absolute path", err);
    if (config->state_uid_base % 65536 != 0)
        return refuse(loader, CONFIG_KEY_state_uid_base, "must be a multiple of 65536", err);
    return 0;
}

/* Hands the finished configuration to the caller; `config` is empty afterwards. */
static int finish(struct config *config, struct config_origins *origins,
                  struct config_origins *ret_origins, struct config *ret_config)
{
    if (ret_origins)
        *ret_origins = *origins;
    *ret_config = *config;
    memset(config, 0, sizeof(*config));
    return 0;
}

int config_load(const struct config_options *options, struct config *ret_config,
                struct config_origins *ret_origins, struct error *err)
{
    _cleanup_config_ struct config config = {0};
    struct config_origins origins = {0};
    struct config_loader loader = {.config = &config, .origins = &origins};

    if (apply_defaults(&loader, err) < 0)
        return -1;
    if (options && options->file && apply_file(&loader, options->file, err) < 0)
        return -1;
    if (apply_environment(&loader, err) < 0)
        return -1;
    if (options && apply_options(&loader, options, err) < 0)
        return -1;
    if (check_together(&loader, err) < 0)
        return -1;
    return finish(&config, &origins, ret_origins, ret_config);
}

int config_load_text(const char *name, const char *text, size_t size, struct config *ret_config,
                     struct config_origins *ret_origins, struct error *err)
{
    _cleanup_config_ struct config config = {0};
    struct config_origins origins = {0};
    struct config_loader loader = {.config = &config, .origins = &origins};

    if (apply_defaults(&loader, err) < 0 || apply_text(&loader, name, text, size, err) < 0 ||
        check_together(&loader, err) < 0)
        return -1;
    return finish(&config, &origins, ret_origins, ret_config);
}

void config_done(struct config *config)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (config_keys[i].type == CONFIG_STRING)
            free(*string_member(config, &config_keys[i]));
    }
    memset(config, 0, sizeof(*config));
}

const char *config_value_text(const struct config *config, const struct config_key *key,
                              char buffer[static CONFIG_TEXT_SIZE])
{
    const char *member = (const char *)config + key->offset;

    switch (key->type) {
    case CONFIG_STRING:
        return *(char *const *)(const void *)member;
    case CONFIG_INTEGER:
        (void)snprintf(buffer, CONFIG_TEXT_SIZE, "%" PRId64,
                       *(const int64_t *)(const void *)member);
        return buffer;
    case CONFIG_BOOL:
        return *(const bool *)(const void *)member ? "true" : "false";
    }
    return "";
}

int config_set(struct config *config, enum config_key_index index, const char *text,
               struct error *err)
{
    return set_text(config, &config_keys[index], text, err);
}

void config_origin_text(const struct config_origins *origins, enum config_key_index index,
                        char text[static CONFIG_ORIGIN_SIZE])
{
    switch (origins->keys[index].source) {
    case CONFIG_FROM_DEFAULT:
        (void)snprintf(text, CONFIG_ORIGIN_SIZE, "default");
        break;
    case CONFIG_FROM_FILE:
        (void)snprintf(text, CONFIG_ORIGIN_SIZE, "%s:%u", origins->file, origins->keys[index].line);
        break;
    case CONFIG_FROM_ENVIRONMENT:
        (void)snprintf(text, CONFIG_ORIGIN_SIZE, "environment %s", config_keys[index].environment);
        break;
    case CONFIG_FROM_OPTION:
        (void)snprintf(text, CONFIG_ORIGIN_SIZE, "command line");
        break;
    }
}

/* Bytes of "NAME=value" with its NUL. */
static size_t variable_size(const struct config *config, const struct config_key *key)
{
    char buffer[CONFIG_TEXT_SIZE];

    return strlen(key->environment) + strlen(config_value_text(config, key, buffer)) + 2;
}

char **config_environment(const struct config *config)
{
    size_t size = (CONFIG_KEY_COUNT + 1) * sizeof(char *);
    char buffer[CONFIG_TEXT_SIZE];
    char **variables;
    char *text;

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        size += variable_size(config, &config_keys[i]);
    variables = malloc(size);
    if (!variables)
        return NULL;
    text = (char *)(variables + CONFIG_KEY_COUNT + 1);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        size_t used = variable_size(config, key);

        (void)snprintf(text, used, "%s=%s", key->environment,
                       config_value_text(config, key, buffer));
        variables[i] = text;
        text += used;
    }
    variables[CONFIG_KEY_COUNT] = NULL;
    return variables;
}
