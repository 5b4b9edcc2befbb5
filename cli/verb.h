/*
 * The commands of `atoll` as data: names, arguments, options and help stand in one table (verbs.c),
 * from which parsing, help, shell completion and docs/cli.md derive.
 */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "cli/cli.h"

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

struct cli_option {
    const char *name;  /* "--memory" */
    const char *value; /* what the help calls its value; NULL: it has none */
    const char *help;
};

enum { ARGUMENTS_MAX = 64 };

/* What the command line says, checked against the table. The strings are argv's. */
struct arguments {
    const char *words[ARGUMENTS_MAX]; /* that are not options */
    size_t word_count;
    const struct cli_option *options[ARGUMENTS_MAX]; /* in the order they came */
    const char *values[ARGUMENTS_MAX];
    size_t option_count;
    char **rest; /* behind "--" */
    size_t rest_count;
};

typedef int (*verb_run)(struct cli *cli, const struct arguments *arguments, struct error *err);

struct verb {
    const char *name;      /* one word, or two: "tenant create" */
    const char *arguments; /* as the help shows them */
    const char *help;
    verb_run run; /* NULL: the command takes its words itself, by `run_words` */
    int (*run_words)(struct cli *cli, struct error *err);
    size_t min_words;
    size_t max_words;
    bool takes_rest;    /* words behind "--" are somebody else's */
    bool calls_api;     /* takes the options of every command that calls the service, too */
    bool needs_nothing; /* works whatever the configuration says */
    const struct cli_option *options;
    size_t option_count;
};

extern const struct verb verbs[];
extern const size_t verb_count;

/* The options of every command that calls the service. */
extern const struct cli_option api_options[];
extern const size_t api_option_count;

/* The verb that the first word, or the first two, name, and how many those are; NULL: none. */
const struct verb *verb_find(int argc, char **argv, int *ret_words);

/* True for a verb of two words whose first is `word`: "tenant create" for "tenant". */
bool verb_is_below(const struct verb *verb, const char *word);

/* Options may stand anywhere before "--", as `--name value` or `--name=value`; those of one letter
 * have no value and may stand together, as in `-it`. ERR_BAD_REQUEST. */
int arguments_parse(const struct verb *verb, int argc, char **argv, struct arguments *ret_arguments,
                    struct error *err);

/* The last value of an option; NULL when it did not come. For one without a value: "". */
const char *argument_value(const struct arguments *arguments, const char *option);

#endif
