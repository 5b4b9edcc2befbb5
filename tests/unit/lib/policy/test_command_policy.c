#include "lib/policy/command_policy.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const blocked[] = {
    "rm -rf /", "sudo", "su", "docker", "kubectl", "cat /etc/passwd", "nc -l", "nmap",
};
static const struct command_policy block_policy = {.block = blocked,
                                                   .block_count = ARRAY_SIZE(blocked)};
static const char *const allowed[] = {"npm", "node", "python3", "env", "sh", "xargs", "cat"};
static const struct command_policy allow_policy = {.allow = allowed,
                                                   .allow_count = ARRAY_SIZE(allowed)};

static bool lets(const struct command_policy *policy, const char *line, struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};
    int status = command_policy_check(policy, argv, err);

    if (status < 0) {
        assert_int_equal(err->code, ERR_COMMAND);
        assert_string_equal(err->field, "command");
        for (const char *byte = err->message; *byte != '\0'; byte++)
            assert_true(*byte >= ' ' && *byte <= '~');
    }
    return status == 0;
}

static void test_what_a_block_list_stops(void **state)
{
    static const char *const lines[] = {
        "rm -rf /",
        "rm -fr /",
        "rm -r -f /",
        "rm / -rf",
        "rm --recursive --force /",
        "rm -rvf //",
        "rm -rf /home/..",
        "rm -rf /./",
        "rm -rf /*",
        "/bin/rm -rf /",
        "../../bin/rm -rf /",
        "\\rm -rf /",
        "'rm' \"-rf\" /",
        "npm install && sudo rm x",
        "npm install; su",
        "true | sudo tee x",
        "echo $(sudo id)",
        "echo `sudo id`",
        "A=$(sudo id)",
        "A=b sudo id",
        "if sudo id; then echo; fi",
        "sh -c 'sudo id'",
        "sh -ec 'sudo id'",
        "sh -e -c 'sudo id'",
        "bash -o pipefail -c 'sudo id'",
        "bash -c \"bash -c 'sudo id'\"",
        "/bin/bash -lc 'rm -rf /'",
        "env A=b sudo id",
        "env -i -u X A=b sh -c 'sudo id'",
        "env -S 'sudo id'",
        "nohup nice -n 5 timeout -k 1 10 sudo id &",
        "timeout --signal=KILL 5 sudo id",
        "timeout --signal KILL 5 sudo id",
        "exec sudo id",
        "command sudo id",
        "command -p sudo id",
        "busybox nc -l -p 80",
        "echo / | xargs rm -rf /",
        "xargs -n 1 -I {} sudo {}",
        "find / -name x -exec sudo {} \\;",
        "find / -exec sh -c 'sudo id' {} +",
        "eval 'sudo id'",
        "eval sudo id",
        "trap 'sudo id' EXIT",
        "alias x='sudo id'",
        "su root -c id",
        "stdbuf -o L docker ps",
        "flock /tmp/x docker ps",
        "cat /etc/passwd",
        "cat -n /etc//passwd",
        "cat a /etc/x/../passwd",
        "nc -lvp 80",
        "nc --listen 80",
        "f() { sudo id; }; f",
        "cat <<E\n$(sudo id)\nE",
        "[[ a || sudo id ]]",
        "$SUDO id",
        "/bin/su*",
        "echo 'unclosed",
        "runuser -u bob sudo id",
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (lets(&block_policy, lines[i], &err))
            fail_msg("let in: %s", lines[i]);
}

static void test_what_a_block_list_lets_in(void **state)
{
    static const char *const lines[] = {
        "",
        "npm install && npm run dev",
        "rm -rf node_modules",
        "rm -rf /sandbox/build",
        "rm -r /",
        "echo sudo",
        "echo 'rm -rf /'",
        "echo \"$HOME\" # sudo id",
        "cat /etc/hostname",
        "grep -r sudo .",
        "nc -z host 80",
        "sumo",
        "env",
        "env A=b npm test",
        "command -v sudo",
        "cat <<'E'\nsudo id\nE",
        "for f in *; do echo \"$f\"; done",
        "python3 -c 'print(1)'",
        "test -f x && [ -f y ]",
        "A=sudo; echo $A",
        "find . -name '*.js' -exec cat {} +",
        "xargs -0 cat",
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (!lets(&block_policy, lines[i], &err))
            fail_msg("refused: %s: %s", lines[i], err.message);
}

static void test_an_allow_list(void **state)
{
    static const struct {
        const char *line;
        bool let_in;
    } cases[] = {
        {"npm install && npm run dev", true},
        {"cd app && NODE_ENV=test /usr/bin/node x.js", true},
        {"echo a | cat; [ -f x ] || exit 1", true},
        {"if [ -f x ]; then npm test; else printf no; fi", true},
        {"env A=b npm test", true},
        {"sh -c 'node x.js'", true},
        {"curl x", false},
        {"npm install && curl x", false},
        {"npm install; $(curl x)", false},
        {"sh -c 'curl x'", false},
        {"env curl x", false},
        {"xargs curl", false},
        {"bash -c 'npm test'", false},
        {"nohup npm test", false},
        {". ./x", false},
        {"./npmx", false},
        {"${x}npm test", false},
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (lets(&allow_policy, cases[i].line, &err) != cases[i].let_in)
            fail_msg("%s: %s", cases[i].line, cases[i].let_in ? err.message : "let in");
}

static void test_the_reason_names_the_rule(void **state)
{
    struct error err;

    (void)state;
    assert_false(lets(&block_policy, "npm i && /bin/rm -fr /", &err));
    assert_string_equal(err.message, "the command policy blocks 'rm' by its rule 'rm -rf /'");
    assert_false(lets(&allow_policy, "c\x01\xc3\xa4 x", &err));
    assert_string_equal(err.message, "the command policy does not allow the program: 'c?"
                                     "?"
                                     "?'");
    assert_false(lets(&block_policy, "echo 'a", &err));
    assert_string_equal(err.message,
                        "the command policy cannot read the command line: a quote is not closed");
}

static void test_arguments_are_no_command_line(void **state)
{
    static const char *const echo[] = {"echo", "$(sudo id)", ";", "sudo", NULL};
    static const char *const sudo[] = {"/usr/bin/sudo", "id", NULL};
    struct error err;

    (void)state;
    assert_int_equal(command_policy_check(&block_policy, echo, &err), 0);
    assert_int_equal(command_policy_check(&block_policy, sudo, &err), -1);
    assert_int_equal(command_policy_check_text(&block_policy, "#!/bin/sh\necho\nsudo id\n", &err),
                     -1);
    assert_int_equal(command_policy_check_text(&block_policy, "#!/bin/sh\n# sudo\necho\n", &err),
                     0);
}

/* "sh -c" in "sh -c": each in quotes of its own, which double the backslashes. */
static void test_nested_shells_are_bounded(void **state)
{
    const char *const argv[] = {"sh", "-c", NULL, NULL};
    const char *line = "eval eval eval eval eval eval eval eval eval eval eval eval eval eval "
                       "eval eval eval eval eval eval eval eval eval eval eval eval eval sudo";
    const char *copy[ARRAY_SIZE(argv)];
    struct error err;

    (void)state;
    memcpy(copy, argv, sizeof(argv));
    copy[2] = line;
    assert_int_equal(command_policy_check(&block_policy, copy, &err), -1);
    assert_int_equal(err.code, ERR_COMMAND);
}

/* `word` so often, and `last` behind them; the caller frees. */
static char *repeat(const char *first, const char *word, size_t count, const char *last)
{
    char *text = malloc(strlen(first) + strlen(word) * count + strlen(last) + 1);
    char *at;

    assert_non_null(text);
    at = stpcpy(text, first);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, word);
    (void)strcpy(at, last);
    return text;
}

/* Each program of a chain reads all behind it: a long one would keep a thread busy for minutes. */
static void test_chains_of_programs_are_bounded(void **state)
{
    _cleanup_free_ char *some = repeat("", "env ", 10, "true");
    _cleanup_free_ char *more = repeat("", "env ", 20, "true");
    _cleanup_free_ char *many = repeat("", "nice env ", 100 * 1000, "true");
    struct error err;

    (void)state;
    assert_true(lets(&block_policy, some, &err));
    assert_false(lets(&block_policy, more, &err));
    assert_non_null(strstr(err.message, "nested too deeply"));
    assert_false(lets(&block_policy, many, &err));
}

static void test_many_words_are_read(void **state)
{
    _cleanup_free_ char *harmless = repeat("eval echo ", "a ", 500 * 1000, "");
    _cleanup_free_ char *harmful = repeat("eval echo ", "a ", 500 * 1000, "';' sudo id");
    struct error err;

    (void)state;
    assert_true(lets(&block_policy, harmless, &err));
    assert_false(lets(&block_policy, harmful, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_block_list_stops),
        cmocka_unit_test(test_what_a_block_list_lets_in),
        cmocka_unit_test(test_an_allow_list),
        cmocka_unit_test(test_the_reason_names_the_rule),
        cmocka_unit_test(test_arguments_are_no_command_line),
        cmocka_unit_test(test_nested_shells_are_bounded),
        cmocka_unit_test(test_chains_of_programs_are_bounded),
        cmocka_unit_test(test_many_words_are_read),
    };

    return cmocka_run_group_tests_name("policy/command_policy", tests, NULL, NULL);
}
