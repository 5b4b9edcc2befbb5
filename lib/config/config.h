/*
 * Loading of the configuration that <atoll/config.h> declares: default, then --config file, then
 * environment, then command line. Also what derives from the table: the key list with its meaning
 * and range, where each value came from, and the environment that hands a configuration to a
 * child.
 *
 * All functions but config_take_options are free of global state; none is safe to call while
 * another thread uses the same struct config.
 */
#ifndef LIB_CONFIG_CONFIG_H
#define LIB_CONFIG_CONFIG_H

#include <atoll/cleanup.h>
#include <atoll/config.h>
#include <limits.h>
#include <stddef.h>

enum config_key_index {
#define CONFIG_INDEX(member, section, key, env, type, def, min, max, choices, reload, meaning)     \
    CONFIG_KEY_##member,
    CONFIG_KEYS(CONFIG_INDEX)
#undef CONFIG_INDEX
        CONFIG_KEY_COUNT
};

/* A row of the table. `choices` is NULL or words separated by "|". */
struct config_key {
    const char *section;
    const char *name;
    const char *environment;
    enum config_type type;
    const char *default_text;
    int64_t minimum;
    int64_t maximum;
    const char *choices;
    bool reloadable;
    const char *meaning;
    size_t offset; /* of the member in struct config */
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* Large enough for every integer and boolean as text. */
enum { CONFIG_TEXT_SIZE = 24, CONFIG_ORIGIN_SIZE = PATH_MAX + 64 };

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_OPTION
};

/* Where each value came from. `line` and `file` count for CONFIG_FROM_FILE only. */
struct config_origins {
    char file[PATH_MAX];
    struct {
        enum config_source source;
        unsigned line;
    } keys[CONFIG_KEY_COUNT];
};

enum { CONFIG_OPTIONS_MAX = 64 };

/* An option of every program that reads the configuration. */
struct config_option {
    const char *name;  /* "--config" */
    const char *value; /* what the help calls its value */
    const char *help;
    const char *key; /* "section.key" that its value is for; NULL: it has a meaning of its own */
};

extern const struct config_option config_option_rows[];
extern const size_t config_option_count;

/* What the command line says. The strings belong to argv. */
struct config_options {
    const char *file;                           /* --config, or NULL */
    const char *set[CONFIG_OPTIONS_MAX];        /* "section.key=value" of --set */
    const char *set_values[CONFIG_OPTIONS_MAX]; /* the value; the key ends before its '=' */
    size_t set_count;
};

/*
 * Takes `--config FILE`, `--backend NAME` and `--set SECTION.KEY=VALUE` (also `--option=value`)
 * out of argv and leaves the rest in order; "--" ends the search. argv[*argc] is NULL afterwards.
 */
int config_take_options(int *argc, char **argv, struct config_options *ret_options,
                        struct error *err);

/* As config_take_options, for programs that have no other arguments: any is an error. */
int config_take_only_options(int argc, char **argv, struct config_options *ret_options,
                             struct error *err);

/*
 * The effective configuration. `options` and `ret_origins` may be NULL. On success the caller
 * releases *ret_config with config_done; on failure nothing is left to release. Errors name the
 * file and line, the variable or the option.
 */
int config_load(const struct config_options *options, struct config *ret_config,
                struct config_origins *ret_origins, struct error *err);

/* As config_load with the text of a file instead of its name, and without the environment. */
int config_load_text(const char *name, const char *text, size_t size, struct config *ret_config,
                     struct config_origins *ret_origins, struct error *err);

/* Frees the strings. An all-zero struct is allowed. */
void config_done(struct config *config);

#define _cleanup_config_ _cleanup_(config_done)

/*
 * The value of a key as text: a string of `config`, or the number or boolean written to `buffer`.
 */
const char *config_value_text(const struct config *config, const struct config_key *key,
                              char buffer[static CONFIG_TEXT_SIZE]);

/* Replaces a value by text that is checked as an environment variable's would be. */
int config_set(struct config *config, enum config_key_index index, const char *text,
               struct error *err);

/* "default", "config.toml:12", "environment SANDBOX_PORT" or "command line". */
void config_origin_text(const struct config_origins *origins, enum config_key_index index,
                        char text[static CONFIG_ORIGIN_SIZE]);

/*
 * "NAME=value" of every key, NULL-terminated, for a child's environment: one allocation, freed
 * with free(). NULL when memory is short.
 */
char **config_environment(const struct config *config);

#endif
