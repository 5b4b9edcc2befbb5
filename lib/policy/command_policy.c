#include "lib/policy/command_policy.h"

#include "lib/base/util.h"
#include "lib/policy/shell.h"

#include <atoll/cleanup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 64, PATH_COMPARED_MAX = 1024 };

/* A command that is looked at: words[0] is its program. */
struct slice {
    const struct shell_word *words;
    size_t count;
    unsigned depth;
};

/* Programs that run another one: options come first, then words of their own, then that. */
struct wrapper {
    const char *name;
    const char *valued;   /* letters of options whose value is the next word */
    size_t own_words;     /* behind the options */
    bool has_assignments; /* NAME=VALUE may stand before the program */
};

static const struct wrapper wrappers[] = {
    {"builtin", "", 0, false},
    {"busybox", "", 0, false},
    {"chroot", "", 1, false},
    {"chrt", "TPD", 1, false},
    {"command", "", 0, false},
    {"doas", "uC", 0, false},
    {"env", "uC", 0, true},
    {"exec", "a", 0, false},
    {"flock", "wE", 1, false},
    {"ionice", "cnpPu", 0, false},
    {"nice", "n", 0, false},
    {"nohup", "", 0, false},
    {"runuser", "gGsuw", 0, false},
    {"setarch", "", 0, false},
    {"setsid", "", 0, false},
    {"stdbuf", "ioe", 0, false},
    {"strace", "aeEIoOpPsSuUXb", 0, false},
    {"sudo", "CDghpRrTtUu", 0, true},
    {"taskset", "", 1, false},
    {"time", "fo", 0, false},
    {"timeout", "ks", 1, false},
    {"toybox", "", 0, false},
    {"unshare", "GRSw", 0, false},
    {"xargs", "adEILnPs", 0, false},
};

/* Long options that take no value, or none in a word of its own. */
static const char *const flags[] = {
    "--append",
    "--clear-groups",
    "--fork",
    "--foreground",
    "--help",
    "--ignore-environment",
    "--interactive",
    "--null",
    "--no-run-if-empty",
    "--nonblock",
    "--open-tty",
    "--portability",
    "--preserve-status",
    "--verbose",
    "--version",
    "--wait",
};

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

/* Long names of short options that rules name. */
static const struct {
    char letter;
    const char *name;
} long_names[] = {{'f', "--force"}, {'l', "--listen"}, {'r', "--recursive"}, {'R', "--recursive"}};

static int check_slice(const struct command_policy *policy, struct slice slice, struct error *err);

/* --- complaints */

/* In visible ASCII, cut where it is long: it may become a header field. */
static const char *shown(const char *text, char buffer[static SHOWN_MAX])
{
    size_t length = 0;

    for (; text[length] != '\0' && length < SHOWN_MAX - 1; length++)
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

/* --- names and rules */

static const char *name_of(const char *text)
{
    const char *slash = strrchr(text, '/');

    return slash && slash[1] != '\0' ? slash + 1 : text;
}

static bool is_listed(const char *name, const char *const *list, size_t count)
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

static bool rule_matches(const char *rule, const char *name, const struct slice *slice)
{
    char buffer[COMMAND_POLICY_RULE_MAX + 1];
    const char *word = next_word(&rule, buffer);

    if (!word || strcmp(name_of(word), name) != 0)
        return false;
    while ((word = next_word(&rule, buffer)) != NULL)
        if (!has_argument(slice, word))
            return false;
    return true;
}

static int check_rules(const struct command_policy *policy, const char *name,
                       const struct slice *slice, struct error *err)
{
    for (size_t i = 0; i < policy->block_count; i++)
        if (rule_matches(policy->block[i], name, slice))
            return refuse_block(err, name, policy->block[i]);
    if (policy->allow_count == 0 || is_listed(name, builtins, ARRAY_SIZE(builtins)) ||
        is_listed(name, policy->allow, policy->allow_count))
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

/* The arguments as one text, as eval reads them. */
static int check_joined(const struct command_policy *policy, const struct slice *slice,
                        struct error *err)
{
    _cleanup_free_ char *text = strdup("");

    for (size_t i = 1; i < slice->count && text; i++) {
        char *longer;

        if (!slice->words[i].is_known)
            return refuse_unknown(err);
        if (asprintf(&longer, "%s %s", text, slice->words[i].text) < 0)
            longer = NULL;
        free(text);
        text = longer;
    }
    if (!text)
        return error_set(err, ERR_INTERNAL, "out of memory");
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
        if (!names_user_first(name_of(slice->words[0].text)))
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

        if (!is_listed(slice->words[i].text, actions, ARRAY_SIZE(actions)))
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

static const struct wrapper *find_wrapper(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++)
        if (strcmp(wrappers[i].name, name) == 0)
            return &wrappers[i];
    return NULL;
}

/* How many words an option is; 0 when that is not known. */
static size_t option_size(const struct wrapper *wrapper, const char *text)
{
    if (text[1] == '-')
        return strchr(text, '=') || is_listed(text, flags, ARRAY_SIZE(flags)) ? 1 : 0;
    if (strcmp(wrapper->name, "env") == 0 && strchr(text, 'S'))
        return 0; /* a command line that is no shell's */
    for (const char *letter = text + 1; *letter != '\0'; letter++)
        if (strchr(wrapper->valued, *letter))
            return letter[1] == '\0' ? 2 : 1;
    return 1;
}

/* Where the options end; fails when that cannot be told. */
static int skip_options(const struct wrapper *wrapper, const struct slice *slice, size_t *ret_at,
                        struct error *err)
{
    size_t at = 1;

    while (at < slice->count && slice->words[at].is_known && slice->words[at].text[0] == '-') {
        const char *text = slice->words[at].text;
        size_t size = text[1] == '\0' ? 1 : option_size(wrapper, text);

        if (strcmp(text, "--") == 0) {
            at++;
            break;
        }
        if (size == 0)
            return refuse(err, "the command policy does not know the option (try --option=value)",
                          text);
        at += size;
    }
    *ret_at = at;
    return 0;
}

static bool is_assignment(const struct shell_word *word)
{
    return word->text[0] != '=' && strchr(word->text, '=') != NULL;
}

/* `command -v` says where a program is. */
static bool only_asks(const struct slice *slice)
{
    return slice->count > 1 && strcmp(name_of(slice->words[0].text), "command") == 0 &&
           slice->words[1].text[0] == '-' && strpbrk(slice->words[1].text, "vV");
}

/* The command that the wrapper runs; none has no words. */
static int unwrap(const struct wrapper *wrapper, const struct slice *slice, struct slice *ret_inner,
                  struct error *err)
{
    size_t at = 1;

    *ret_inner = (struct slice){.count = 0};
    if (only_asks(slice))
        return 0;
    if (skip_options(wrapper, slice, &at, err) < 0)
        return -1;
    at += wrapper->own_words;
    while (wrapper->has_assignments && at < slice->count && is_assignment(&slice->words[at]))
        at++;
    if (at < slice->count)
        *ret_inner = (struct slice){slice->words + at, slice->count - at, slice->depth};
    return 0;
}

static int check_special(const struct command_policy *policy, const char *name,
                         const struct slice *slice, struct error *err)
{
    if (is_listed(name, shells, ARRAY_SIZE(shells)))
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

/* The command, and the one that it runs, and so on. */
static int check_slice(const struct command_policy *policy, struct slice slice, struct error *err)
{
    while (slice.count > 0) {
        const char *name = name_of(slice.words[0].text);
        const struct wrapper *wrapper = find_wrapper(name);
        struct slice inner = {.count = 0};

        if (!slice.words[0].is_known)
            return refuse_unknown(err);
        if (slice.depth > SHELL_DEPTH_MAX)
            return error_set_field(err, ERR_COMMAND, "command",
                                   "the command policy cannot read the command line: it is nested "
                                   "too deeply");
        if (check_rules(policy, name, &slice, err) < 0 ||
            check_special(policy, name, &slice, err) < 0 ||
            (wrapper && unwrap(wrapper, &slice, &inner, err) < 0))
            return -1;
        slice = inner;
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
        return error_set(err, ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++)
        words[i] = (struct shell_word){argv[i], true};
    return check_slice(policy, (struct slice){words, count, 0}, err);
}

int command_policy_check_text(const struct command_policy *policy, const char *text,
                              struct error *err)
{
    return check_text(policy, text, 0, err);
}
