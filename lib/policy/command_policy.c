#include "lib/policy/command_policy.h"

#include "lib/base/util.h"
#include "lib/policy/rule.h"
#include "lib/policy/wrapper.h"

#include <atoll/cleanup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 64 };

static const char *const shells[] = {"ash",   "bash", "dash", "hush",    "ksh",    "mksh",
                                     "rbash", "sh",   "zsh",  "runuser", "script", "su"};

/* They are part of the shell and run no program; an allow list need not name them. */
static const char *const builtins[] = {
    ":",      "[",      "[[",    "alias",   "bg",     "break", "cd",      "continue",
    "echo",   "eval",   "exit",  "export",  "false",  "fg",    "getopts", "hash",
    "jobs",   "kill",   "let",   "local",   "printf", "pwd",   "read",    "readonly",
    "return", "set",    "shift", "shopt",   "test",   "times", "trap",    "true",
    "type",   "ulimit", "umask", "unalias", "unset",  "wait",
};

static int check_slice(const struct command_policy *policy, struct slice slice, struct error *err);

/* --- complaints */

/* In visible ASCII, cut where it is long: it may become a header field. */
static const char *shown(const char *text, char buffer[static SHOWN_MAX])
{
    size_t length = 0;

    for (; length < SHOWN_MAX - 1 && text[length] != '\0'; length++)
        buffer[length] = (text[length] >= ' ' && text[length] <= '~') ? text[length] : '?';
    buffer[length] = '\0';
    return buffer;
}

static int refuse(struct error *err, const char *reason, const char *text)
{
    char buffer[SHOWN_MAX];

    return error_set_field(err, ERR_COMMAND, "command", "%s: '%s'", reason, shown(text, buffer));
}

static int refuse_block(struct error *err, const char *name, const char *rule)
{
    char name_shown[SHOWN_MAX];
    char rule_shown[SHOWN_MAX];

    return error_set_field(err, ERR_COMMAND, "command",
                           "the command policy blocks '%s' by its rule '%s'",
                           shown(name, name_shown), shown(rule, rule_shown));
}

static int refuse_unknown(struct error *err)
{
    return error_set_field(err, ERR_COMMAND, "command",
                           "the command policy cannot tell which program it runs: a variable, a "
                           "substitution or a pattern decides");
}

static int refuse_deep(struct error *err)
{
    return error_set_field(err, ERR_COMMAND, "command",
                           "the command policy cannot read the command line: it is nested too "
                           "deeply");
}

/* --- rules */

static int check_rules(const struct command_policy *policy, const char *name,
                       const struct slice *slice, struct error *err)
{
    for (size_t i = 0; i < policy->block_count; i++)
        if (rule_matches(policy->block[i], name, slice))
            return refuse_block(err, name, policy->block[i]);
    if (policy->allow_count == 0 || policy_is_listed(name, builtins, ARRAY_SIZE(builtins)) ||
        policy_is_listed(name, policy->allow, policy->allow_count))
        return 0;
    return refuse(err, "the command policy does not allow the program", name);
}

/* --- texts that a shell reads */

static int visit(const struct shell_word *words, size_t count, unsigned depth, void *user,
                 struct error *err)
{
    return check_slice(user, (struct slice){words, count, depth}, err);
}

static int check_text(const struct command_policy *policy, const char *text, unsigned depth,
                      struct error *err)
{
    struct error cause = {.code = ERR_INTERNAL};

    if (shell_walk(text, depth, visit, (void *)policy, &cause) == 0)
        return 0;
    if (cause.code == ERR_INVALID_FIELD)
        return error_set_field(err, ERR_COMMAND, "command",
                               "the command policy cannot read the command line: %s",
                               cause.message);
    *err = cause;
    return -1;
}

/* A word that a shell reads as a text. */
static int check_word(const struct command_policy *policy, const struct slice *slice,
                      const struct shell_word *word, struct error *err)
{
    if (!word->is_known)
        return refuse_unknown(err);
    return check_text(policy, word->text, slice->depth + 1, err);
}

/* The arguments with spaces between them; NULL without memory. In two passes: a text may be of half
 * a million words. */
static char *join_arguments(const struct slice *slice)
{
    size_t size = 1;
    char *text;
    char *at;

    for (size_t i = 1; i < slice->count; i++)
        size += strlen(slice->words[i].text) + 1;
    text = malloc(size);
    if (!text)
        return NULL;
    text[0] = '\0';
    at = text;
    for (size_t i = 1; i < slice->count; i++)
        at = stpcpy(stpcpy(at, " "), slice->words[i].text);
    return text;
}

/* The arguments as one text, as eval reads them. */
static int check_joined(const struct command_policy *policy, const struct slice *slice,
                        struct error *err)
{
    _cleanup_free_ char *text = NULL;

    for (size_t i = 1; i < slice->count; i++)
        if (!slice->words[i].is_known)
            return refuse_unknown(err);
    text = join_arguments(slice);
    if (!text)
        return error_no_memory(err);
    return check_text(policy, text, slice->depth + 1, err);
}

/* alias name='text' */
static int check_aliases(const struct command_policy *policy, const struct slice *slice,
                         struct error *err)
{
    for (size_t i = 1; i < slice->count; i++) {
        const char *value = strchr(slice->words[i].text, '=');

        if (!slice->words[i].is_known)
            return refuse_unknown(err);
        if (value && check_text(policy, value + 1, slice->depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

/* trap 'text' SIGNAL */
static int check_trap(const struct command_policy *policy, const struct slice *slice,
                      struct error *err)
{
    size_t first = slice->count > 1 && strcmp(slice->words[1].text, "--") == 0 ? 2 : 1;

    if (slice->count <= first || slice->words[first].text[0] == '-')
        return 0;
    return check_word(policy, slice, &slice->words[first], err);
}

/* --- shells */

/* True for -c, also among others: -ec. A `-o` takes the next word. */
static bool is_option(const char *text, bool *ret_text_follows, bool *ret_takes_word)
{
    if ((text[0] != '-' && text[0] != '+') || text[1] == '\0')
        return false;
    *ret_takes_word = strcmp(text, "--rcfile") == 0 || strcmp(text, "--init-file") == 0;
    if (text[1] == '-') {
        *ret_text_follows = *ret_text_follows || strcmp(text, "--command") == 0;
        return true;
    }
    *ret_text_follows = *ret_text_follows || strchr(text, 'c') != NULL;
    *ret_takes_word = strchr(text, 'o') != NULL || strchr(text, 'O') != NULL;
    return true;
}

/* A user may stand before its -c. */
static bool names_user_first(const char *name)
{
    return strcmp(name, "su") == 0 || strcmp(name, "runuser") == 0;
}

/* What it is given to run by -c. A script, or what comes from a pipe, nobody can see. */
static int check_shell(const struct command_policy *policy, const struct slice *slice,
                       struct error *err)
{
    bool text_follows = false;

    for (size_t i = 1; i < slice->count; i++) {
        const struct shell_word *word = &slice->words[i];
        bool takes_word = false;

        if (!word->is_known)
            return refuse_unknown(err);
        if (strncmp(word->text, "--command=", strlen("--command=")) == 0)
            return check_text(policy, word->text + strlen("--command="), slice->depth + 1, err);
        if (is_option(word->text, &text_follows, &takes_word)) {
            i += takes_word;
            continue;
        }
        if (text_follows)
            return check_word(policy, slice, word, err);
        if (!names_user_first(policy_name_of(slice->words[0].text)))
            return 0;
    }
    return 0;
}

/* --- programs that run others */

/* Commands of find: from -exec to `;` or `+`. */
static int check_find(const struct command_policy *policy, const struct slice *slice,
                      struct error *err)
{
    static const char *const actions[] = {"-exec", "-execdir", "-ok", "-okdir"};

    for (size_t i = 1; i < slice->count; i++) {
        size_t begin = i + 1;

        if (!policy_is_listed(slice->words[i].text, actions, ARRAY_SIZE(actions)))
            continue;
        for (i = begin; i < slice->count; i++)
            if (strcmp(slice->words[i].text, ";") == 0 || strcmp(slice->words[i].text, "+") == 0)
                break;
        if (i > begin &&
            check_slice(policy, (struct slice){slice->words + begin, i - begin, slice->depth + 1},
                        err) < 0)
            return -1;
    }
    return 0;
}

static int check_special(const struct command_policy *policy, const char *name,
                         const struct slice *slice, struct error *err)
{
    if (policy_is_listed(name, shells, ARRAY_SIZE(shells)))
        return check_shell(policy, slice, err);
    if (strcmp(name, "eval") == 0 || strcmp(name, "watch") == 0)
        return check_joined(policy, slice, err);
    if (strcmp(name, "alias") == 0)
        return check_aliases(policy, slice, err);
    if (strcmp(name, "trap") == 0)
        return check_trap(policy, slice, err);
    if (strcmp(name, "find") == 0)
        return check_find(policy, slice, err);
    return 0;
}

static int unwrap(const struct slice *slice, struct slice *ret_inner, struct error *err)
{
    struct error cause;

    if (wrapper_unwrap(slice, ret_inner, &cause) == 0)
        return 0;
    return refuse(err, "the command policy does not know the option (try --option=value)",
                  cause.message);
}

/* The command, and the one that it runs, and so on. Each reads all of its arguments: what runs what
 * runs another is a level too, as a chain of them would be read again and again. */
static int check_slice(const struct command_policy *policy, struct slice slice, struct error *err)
{
    while (slice.count > 0) {
        const char *name = policy_name_of(slice.words[0].text);
        struct slice inner;

        if (!slice.words[0].is_known)
            return refuse_unknown(err);
        if (slice.depth > SHELL_DEPTH_MAX)
            return refuse_deep(err);
        if (check_rules(policy, name, &slice, err) < 0 ||
            check_special(policy, name, &slice, err) < 0 || unwrap(&slice, &inner, err) < 0)
            return -1;
        slice = inner;
        slice.depth++;
    }
    return 0;
}

int command_policy_check(const struct command_policy *policy, const char *const *argv,
                         struct error *err)
{
    _cleanup_free_ struct shell_word *words = NULL;
    size_t count = 0;

    while (argv[count])
        count++;
    words = calloc(count + 1, sizeof(*words));
    if (!words)
        return error_no_memory(err);
    for (size_t i = 0; argv[i]; i++)
        words[i] = (struct shell_word){argv[i], true};
    return check_slice(policy, (struct slice){words, count, 0}, err);
}

int command_policy_check_text(const struct command_policy *policy, const char *text,
                              struct error *err)
{
    return check_text(policy, text, 0, err);
}
