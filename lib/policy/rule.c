#include "lib/policy/rule.h"

#include "lib/base/util.h"
#include "lib/policy/command_policy.h"

#include <stdio.h>
#include <string.h>

enum { PATH_COMPARED_MAX = 1024 };

/* Long names of short options that rules name. */
static const struct {
    char letter;
    const char *name;
} long_names[] = {{'f', "--force"}, {'l', "--listen"}, {'r', "--recursive"}, {'R', "--recursive"}};

const char *policy_name_of(const char *text)
{
    const char *slash = strrchr(text, '/');

    return slash && slash[1] != '\0' ? slash + 1 : text;
}

bool policy_is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* Adds a segment of a path, or takes the last one away. */
static bool path_step(char path[static PATH_COMPARED_MAX], size_t *length, const char *segment,
                      size_t size)
{
    if (size == 0 || (size == 1 && segment[0] == '.'))
        return true;
    if (size == 2 && memcmp(segment, "..", 2) == 0) {
        while (*length > 0 && path[--*length] != '/')
            continue;
        return true;
    }
    if (*length + size + 2 > PATH_COMPARED_MAX)
        return false;
    path[(*length)++] = '/';
    memcpy(path + *length, segment, size);
    *length += size;
    return true;
}

/* An absolute path without what does not change where it leads; false when it is too long. */
static bool path_reduce(const char *text, char path[static PATH_COMPARED_MAX])
{
    size_t length = 0;

    while (*text != '\0') {
        size_t size = strcspn(text, "/");

        if (!path_step(path, &length, text, size))
            return false;
        text += size;
        text += *text == '/';
    }
    if (length == 0)
        path[length++] = '/';
    path[length] = '\0';
    return true;
}

static bool same_operand(const char *wanted, const struct shell_word *word)
{
    char a[PATH_COMPARED_MAX];
    char b[PATH_COMPARED_MAX];

    if (strcmp(wanted, word->text) == 0)
        return true;
    if (wanted[0] != '/' || word->text[0] != '/')
        return false;
    if (strcmp(wanted, "/") == 0 && strcmp(word->text, "/*") == 0)
        return true; /* all that is in it */
    return path_reduce(wanted, a) && path_reduce(word->text, b) && strcmp(a, b) == 0;
}

static const char *long_name(char letter)
{
    for (size_t i = 0; i < ARRAY_SIZE(long_names); i++)
        if (long_names[i].letter == letter)
            return long_names[i].name;
    return NULL;
}

static bool has_letter(const struct slice *slice, char letter)
{
    const char *name = long_name(letter);

    for (size_t i = 1; i < slice->count; i++) {
        const char *text = slice->words[i].text;

        if (name && strcmp(text, name) == 0)
            return true;
        if (text[0] == '-' && text[1] != '-' && strchr(text + 1, letter))
            return true;
    }
    return false;
}

/* A word of a rule, among the arguments in whatever form. */
static bool has_argument(const struct slice *slice, const char *wanted)
{
    if (wanted[0] == '-' && wanted[1] != '-' && wanted[1] != '\0') {
        for (const char *letter = wanted + 1; *letter != '\0'; letter++)
            if (!has_letter(slice, *letter))
                return false;
        return true;
    }
    for (size_t i = 1; i < slice->count; i++)
        if (same_operand(wanted, &slice->words[i]))
            return true;
    return false;
}

/* The next word of a rule, in `buffer`; NULL behind the last. */
static const char *next_word(const char **at, char buffer[static COMMAND_POLICY_RULE_MAX + 1])
{
    const char *begin = *at + strspn(*at, " \t");
    size_t size = strcspn(begin, " \t");

    if (size == 0)
        return NULL;
    (void)snprintf(buffer, COMMAND_POLICY_RULE_MAX + 1, "%.*s", (int)size, begin);
    *at = begin + size;
    return buffer;
}

bool rule_matches(const char *rule, const char *name, const struct slice *slice)
{
    char buffer[COMMAND_POLICY_RULE_MAX + 1];
    const char *word = next_word(&rule, buffer);

    if (!word || strcmp(policy_name_of(word), name) != 0)
        return false;
    while ((word = next_word(&rule, buffer)) != NULL)
        if (!has_argument(slice, word))
            return false;
    return true;
}
