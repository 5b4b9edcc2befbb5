#include "lib/policy/wrapper.h"

#include "lib/base/util.h"

#include <string.h>

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
        return strchr(text, '=') || policy_is_listed(text, flags, ARRAY_SIZE(flags)) ? 1 : 0;
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
            return error_set(err, ERR_NOT_POSSIBLE, "%s", text);
        at += size;
    }
    *ret_at = at;
    return 0;
}

static struct slice without_first(const struct slice *slice, size_t count)
{
    if (count >= slice->count)
        return (struct slice){.count = 0};
    return (struct slice){slice->words + count, slice->count - count, slice->depth};
}

/* NAME=VALUE */
static bool begins_with_assignment(const struct slice *slice)
{
    return slice->count > 0 && strchr(slice->words[0].text, '=') != NULL;
}

/* `command -v` says where a program is. */
static bool only_asks(const struct slice *slice)
{
    return slice->count > 1 && strcmp(policy_name_of(slice->words[0].text), "command") == 0 &&
           slice->words[1].text[0] == '-' && strpbrk(slice->words[1].text, "vV");
}

int wrapper_unwrap(const struct slice *slice, struct slice *ret_inner, struct error *err)
{
    const struct wrapper *wrapper = find_wrapper(policy_name_of(slice->words[0].text));
    struct slice inner = {.count = 0};
    size_t at = 1;

    if (wrapper && !only_asks(slice)) {
        if (skip_options(wrapper, slice, &at, err) < 0)
            return -1;
        inner = without_first(slice, at + wrapper->own_words);
    }
    while (wrapper && wrapper->has_assignments && begins_with_assignment(&inner))
        inner = without_first(&inner, 1);
    *ret_inner = inner;
    return 0;
}
