#include "cli/verb.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *verb, const char *const *words, struct arguments *ret_arguments,
                 struct error *err)
{
    static char *argv[16];
    char *name[] = {(char *)verb, NULL};
    int argc = 0;
    int used;

    for (; words[argc]; argc++)
        argv[argc] = (char *)words[argc];
    return arguments_parse(verb_find(1, name, &used), argc, argv, ret_arguments, err);
}

static void test_verbs_of_one_and_two_words(void **state)
{
    char *words[] = {(char *)"tenant", (char *)"ls", NULL};
    int used;

    (void)state;
    assert_string_equal(verb_find(2, words, &used)->name, "tenant ls");
    assert_int_equal(used, 2);
    assert_null(verb_find(1, words, &used));
    words[0] = (char *)"ps";
    assert_string_equal(verb_find(2, words, &used)->name, "ps");
    assert_int_equal(used, 1);
}

static void test_the_verbs_below_a_word(void **state)
{
    const struct verb verb = {.name = "tenant ls"};
    const struct verb single = {.name = "tenant"};

    (void)state;
    assert_true(verb_is_below(&verb, "tenant"));
    assert_false(verb_is_below(&verb, "ten"));
    assert_false(verb_is_below(&verb, "tenants"));
    assert_false(verb_is_below(&verb, "ls"));
    assert_false(verb_is_below(&single, "tenant"));
}

static void test_options_words_and_the_rest(void **state)
{
    static const char *const words[] = {"--env",  "A=1", "main.py",   "--memory=1g", "--env=B=2",
                                        "--json", "--",  "--timeout", "5",           NULL};
    struct arguments arguments;

    (void)state;
    assert_int_equal(parse("run", words, &arguments, NULL), 0);
    assert_int_equal(arguments.word_count, 1);
    assert_string_equal(arguments.words[0], "main.py");
    assert_int_equal(arguments.option_count, 4);
    assert_string_equal(argument_value(&arguments, "--env"), "B=2");
    assert_string_equal(argument_value(&arguments, "--memory"), "1g");
    assert_string_equal(argument_value(&arguments, "--json"), "");
    assert_null(argument_value(&arguments, "--timeout"));
    assert_int_equal(arguments.rest_count, 2);
    assert_string_equal(arguments.rest[0], "--timeout");
}

static void test_options_of_one_letter(void **state)
{
    static const char *const words[] = {"-it", "x", "--user", "root", "--", "-i", NULL};
    static const char *const unknown[] = {"-ix", "x", NULL};
    struct arguments arguments;

    (void)state;
    assert_int_equal(parse("exec", words, &arguments, NULL), 0);
    assert_int_equal(arguments.option_count, 3);
    assert_non_null(argument_value(&arguments, "-i"));
    assert_non_null(argument_value(&arguments, "-t"));
    assert_string_equal(arguments.words[0], "x");
    assert_string_equal(arguments.rest[0], "-i");
    assert_int_equal(parse("exec", unknown, &arguments, NULL), -1);
    assert_int_equal(parse("run", words, &arguments, NULL), -1);
}

static void test_what_is_refused(void **state)
{
    static const char *const cases[][4] = {
        {"x", "--unknown"}, {"x", "--memory"}, {"x", "--json=1"}, {NULL}, {"x", "y"}};
    struct arguments arguments;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = {0};

        assert_int_equal(parse("run", cases[i], &arguments, &err), -1);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
}

static void test_the_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < verb_count; i++) {
        assert_true(!verbs[i].run != !verbs[i].run_words);
        assert_true(verbs[i].help[0] != '\0');
        assert_true(verbs[i].min_words <= verbs[i].max_words);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(verbs[i].name, verbs[k].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verbs_of_one_and_two_words),
        cmocka_unit_test(test_the_verbs_below_a_word),
        cmocka_unit_test(test_options_words_and_the_rest),
        cmocka_unit_test(test_options_of_one_letter),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_the_table_is_whole),
    };

    return cmocka_run_group_tests_name("cli/verb", tests, NULL, NULL);
}
