#include "lib/policy/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The commands found, as "a b|c", `?` in the place of what is not known. */
struct found {
    char text[4096];
};

static int note(const struct shell_word *words, size_t count, unsigned depth, void *user,
                struct error *err)
{
    struct found *found = user;

    (void)depth;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(found->text);

        (void)snprintf(found->text + used, sizeof(found->text) - used, "%s%s",
                       i > 0 ? " " : (used > 0 ? "|" : ""),
                       words[i].is_known ? words[i].text : "?");
    }
    return 0;
}

static void test_commands(void **state)
{
    static const struct {
        const char *line;
        const char *commands;
    } cases[] = {
        {"", ""},
        {"  \t\n", ""},
        {"ls", "ls"},
        {"ls -l  /tmp", "ls -l /tmp"},
        {"a;b&c&&d||e|f\ng", "a|b|c|d|e|f|g"},
        {"a |& b", "a|b"},
        /* quotes */
        {"'r'\"m\" -r\\f", "rm -rf"},
        {"\\rm 'a b' \"c d\"", "rm a b c d"},
        {"echo 'a;b' \"c&&d\" e\\;f", "echo a;b c&&d e;f"},
        {"echo \"a\\\"b\\$c\\d\"", "echo a\"b$c\\d"},
        {"a\\\nb c \\\n d", "ab c d"},
        {"'' \"\"", " "},
        /* comments */
        {"a # b; c\nd", "a|d"},
        {"a#b", "a#b"},
        {"#a", ""},
        /* assignments and redirections */
        {"A=b C=\"d e\" rm x", "rm x"},
        {"A=b", ""},
        {"A=$(rm x)", "rm x"},
        {"rm A=b", "rm A=b"},
        {"1A=b", "1A=b"},
        {">out 2>&1 a <in >>log 3<&- b", "a b"},
        {"a>|b c", "a c"},
        {"a &>b", "a"},
        {"a <<<\"$(rm)\"", "rm|a"},
        /* what is not known */
        {"$a b", "? b"},
        {"${a} b", "? b"},
        {"r$(true)m", "true|?"},
        {"r`true`m", "true|?"},
        {"/bin/r? x", "? x"},
        {"/bin/r[m] x", "? x"},
        {"{r,}m x", "? x"},
        {"a$ b", "a$ b"},
        {"$'rm' x", "? x"},
        {"$\"rm\" x", "? x"},
        {"echo $1 $? $@ $$ \"$x\"", "echo ? ? ? ? ?"},
        {"find . -exec a {} +", "find . -exec a {} +"},
        {"[ -f x ]", "[ -f x ]"},
        /* substitutions */
        {"echo $(a; b $(c))", "a|c|b ?|echo ?"},
        {"echo \"$(a \"b c\")\"", "a b c|echo ?"},
        {"echo `a \\`b\\``", "b|a ?|echo ?"},
        {"echo \"`a \\\"b c\\\"`\"", "a b c|echo ?"},
        {"echo '$(a)' \\$(", NULL},
        {"echo '$(a)' '`b`'", "echo $(a) `b`"},
        {"echo ${x:-$(a)} ${y:=`b`} \"${z:+\"$(c)\"}\"", "a|b|c|echo ? ? ?"},
        {"echo $((1 + (2) * $(a)))", "a|echo ?"},
        {"echo $((a); (b))", "a|b|echo ?"},
        {"echo $( (a) )", "a|echo ?"},
        {"diff <(a) >(b)", "a|b|diff ? ?"},
        /* compound commands */
        {"(a; b) | c", "a|b|c"},
        {"{ a; b; } >x", "a|b"},
        {"if a; then b; elif c; then d; else e; fi", "a|b|c|d|e"},
        {"while a; do b; done; until ! c; do d; done", "a|b|c|d"},
        {"for x in a $(b); do c; done", "b|c"},
        {"for x\ndo c; done", "c"},
        {"case $x in a|b) c;; (*) d; e;; esac; f", "c|d|e|f"},
        {"case $(a) in $(b)) c; esac", "a|b|c"},
        {"case x in esac; a", "a"},
        {"f() { a; }; f", "a|f"},
        {"f () a", "a"},
        {"function f { a; }", "a"},
        {"echo if then", "echo if then"},
        {"'if' a", "if a"},
        /* here-documents */
        {"cat <<E\nrm\nE\na", "cat|a"},
        {"cat <<E; b\n$(rm)\nE\na", "cat|b|rm|a"},
        {"cat <<'E'\n$(rm)\nE\na", "cat|a"},
        {"cat <<-E\n\t`rm`\n\tE\na", "cat|rm|a"},
        {"cat <<A <<B\na\nA\nb\nB\nc", "cat|c"},
        {"cat <<E\nno end", "cat"},
        {"a $(cat <<E\nb\nE\n) c", "cat|a ? c"},
        /* A body is behind the newline of its own list, not of one inside of it. */
        {"cat <<E $(a\nrm\n)\nE\nb", "a|rm|cat ?|b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct found found = {.text = ""};
        struct error err = {.message = ""};
        int status = shell_walk(cases[i].line, 0, note, &found, &err);

        if (cases[i].commands ? status < 0 || strcmp(found.text, cases[i].commands) != 0
                              : status == 0 || err.code != ERR_INVALID_FIELD)
            fail_msg("%s: %d '%s' %s", cases[i].line, status, found.text, err.message);
    }
}

static void test_what_cannot_be_read(void **state)
{
    static const char *const lines[] = {
        "'a",
        "\"a",
        "`a",
        "$(a",
        "${a",
        "(a",
        "a)",
        "a (b)",
        "echo a(b)",
        "case a",
        "case a in b",
        "case a in b) c",
        "a <<",
        "a <<$b\n$b",
        "$'a\\'b'",
        "${ rm;}",
        "$(cat <<E)",
        "\"$(\"",
        "\"${x:-'}\"'}",
    };
    struct found found = {.text = ""};

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct error err = {.message = ""};

        if (shell_walk(lines[i], 0, note, &found, &err) == 0 || err.code != ERR_INVALID_FIELD ||
            err.message[0] == '\0')
            fail_msg("%s was read", lines[i]);
    }
}

/* `count` times `open`, then as often `close`. */
static char *nest(const char *open, const char *inner, const char *close, size_t count)
{
    size_t size = (strlen(open) + strlen(close)) * count + strlen(inner) + 1;
    char *text = calloc(1, size);

    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        strcat(text, open);
    strcat(text, inner);
    for (size_t i = 0; i < count; i++)
        strcat(text, close);
    return text;
}

static void test_depth_is_bounded(void **state)
{
    static const struct {
        const char *open;
        const char *close;
    } kinds[] = {
        {"$(", ")"},
        {"(", ")"},
        {"\"$(", ")\""},
        {"${x:-", "}"},
        {"$((", "))"},
        {"\"${x:-", "}\""},
        {"case a in b) ", ";; esac "},
        {"<(", ")"},
    };
    struct found found;

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char *deep = nest(kinds[i].open, "a", kinds[i].close, 5000);
        char *shallow = nest(kinds[i].open, "a", kinds[i].close, 4);
        struct error err;

        found.text[0] = '\0';
        assert_int_equal(shell_walk(shallow, 0, note, &found, &err), 0);
        assert_int_equal(shell_walk(deep, 0, note, &found, &err), -1);
        assert_string_equal(err.message, "it is nested too deeply");
        free(deep);
        free(shallow);
    }
}

static int stop(const struct shell_word *words, size_t count, unsigned depth, void *user,
                struct error *err)
{
    (void)words;
    (void)count;
    (void)depth;
    ++*(int *)user;
    return error_set(err, ERR_COMMAND, "enough");
}

static void test_a_visitor_that_fails_ends_it(void **state)
{
    struct error err;
    int calls = 0;

    (void)state;
    assert_int_equal(shell_walk("a $(b; c); d", 0, stop, &calls, &err), -1);
    assert_int_equal(calls, 1);
    assert_int_equal(err.code, ERR_COMMAND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_a_visitor_that_fails_ends_it),
    };

    return cmocka_run_group_tests_name("policy/shell", tests, NULL, NULL);
}
