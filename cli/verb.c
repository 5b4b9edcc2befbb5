#include "cli/verb.h"

#include <string.h>

/* True when `name` is the words that argv begins with. */
static bool names(const char *name, int argc, char **argv, int *ret_words)
{
    const char *space = strchr(name, ' ');
    size_t length = space ? (size_t)(space - name) : strlen(name);

    if (argc < (space ? 2 : 1) || strlen(argv[0]) != length || memcmp(name, argv[0], length) != 0 ||
        (space && strcmp(space + 1, argv[1]) != 0))
        return false;
    *ret_words = space ? 2 : 1;
    return true;
}

const struct verb *verb_find(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < verb_count; i++)
        if (names(verbs[i].name, argc, argv, ret_words))
            return &verbs[i];
    return NULL;
}

bool verb_is_below(const struct verb *verb, const char *word)
{
    size_t length = strlen(word);

    return strncmp(verb->name, word, length) == 0 && verb->name[length] == ' ';
}

static const struct cli_option *search(const struct cli_option *options, size_t count,
                                       const char *text, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == length && memcmp(options[i].name, text, length) == 0)
            return &options[i];
    return NULL;
}

static const struct cli_option *find_option(const struct verb *verb, const char *text)
{
    size_t length = strcspn(text, "=");
    const struct cli_option *option = search(verb->options, verb->option_count, text, length);

    if (!option && verb->calls_api)
        option = search(api_options, api_option_count, text, length);
    return option;
}

static int add_option(const struct verb *verb, const struct cli_option *option, const char *value,
                      struct arguments *arguments, struct error *err)
{
    if (arguments->option_count == ARGUMENTS_MAX)
        return error_set(err, ERR_BAD_REQUEST, "%s: more than %d options", verb->name,
                         ARGUMENTS_MAX);
    arguments->options[arguments->option_count] = option;
    arguments->values[arguments->option_count++] = value;
    return 0;
}

/* "-it" is "-i -t": options of one letter have no value. */
static int take_letters(const struct verb *verb, const char *text, struct arguments *arguments,
                        struct error *err)
{
    for (const char *letter = text + 1; *letter != '\0'; letter++) {
        const struct cli_option *option = find_option(verb, (char[]){'-', *letter, '\0'});

        if (!option)
            return error_set(err, ERR_BAD_REQUEST, "%s: unknown option %.128s", verb->name, text);
        if (add_option(verb, option, "", arguments, err) < 0)
            return -1;
    }
    return 0;
}

/* Takes the option at argv[*i], and the word behind it where that is its value. */
static int take_option(const struct verb *verb, int argc, char **argv, int *i,
                       struct arguments *arguments, struct error *err)
{
    const char *text = argv[*i];
    const struct cli_option *option = find_option(verb, text);
    const char *equals = strchr(text, '=');
    const char *value = "";

    if (text[1] != '-')
        return take_letters(verb, text, arguments, err);
    if (!option)
        return error_set(err, ERR_BAD_REQUEST, "%s: unknown option %.128s", verb->name, text);
    if (!option->value && equals)
        return error_set(err, ERR_BAD_REQUEST, "%s: %s has no value", verb->name, option->name);
    if (option->value && equals)
        value = equals + 1;
    else if (option->value && ++*i == argc)
        return error_set(err, ERR_BAD_REQUEST, "%s: %s needs a value", verb->name, option->name);
    else if (option->value)
        value = argv[*i];
    return add_option(verb, option, value, arguments, err);
}

static int take_word(const struct verb *verb, const char *word, struct arguments *arguments,
                     struct error *err)
{
    if (arguments->word_count == verb->max_words || arguments->word_count == ARGUMENTS_MAX)
        return error_set(err, ERR_BAD_REQUEST, "%s: one argument too many: %.128s%s", verb->name,
                         word, verb->takes_rest ? " (a command stands behind --)" : "");
    arguments->words[arguments->word_count++] = word;
    return 0;
}

/* "-" is a word: standard input. */
static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != '\0';
}

int arguments_parse(const struct verb *verb, int argc, char **argv, struct arguments *ret_arguments,
                    struct error *err)
{
    struct arguments arguments = {.word_count = 0};
    int i;

    for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_option(argv[i]) ? take_option(verb, argc, argv, &i, &arguments, err) < 0
                               : take_word(verb, argv[i], &arguments, err) < 0)
            return -1;
    i += i < argc;
    for (; i < argc && !verb->takes_rest; i++)
        if (take_word(verb, argv[i], &arguments, err) < 0)
            return -1;
    if (arguments.word_count < verb->min_words)
        return error_set(err, ERR_BAD_REQUEST, "usage: atoll %s %s", verb->name, verb->arguments);
    arguments.rest = argv + i;
    arguments.rest_count = (size_t)(argc - i);
    *ret_arguments = arguments;
    return 0;
}

const char *argument_value(const struct arguments *arguments, const char *option)
{
    for (size_t i = arguments->option_count; i > 0; i--)
        if (strcmp(arguments->options[i - 1]->name, option) == 0)
            return arguments->values[i - 1];
    return NULL;
}
