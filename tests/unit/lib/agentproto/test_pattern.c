/* Searching lines for a text or an expression. */
#include "lib/agentproto/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pattern pattern;
static struct pattern_search search;

/* Searches the line in pieces of `piece` bytes of work. */
static bool matches_in_pieces(const char *text, const char *line, bool regex, bool ignore_case,
                              size_t piece)
{
    const struct pattern_options options = {.regex = regex, .ignore_case = ignore_case};
    const char *reason = pattern_compile(&pattern, text, &options);
    size_t at = 0;

    if (reason)
        fail_msg("%s: %s", text, reason);
    pattern_begin(&search);
    while (at < strlen(line) && !search.matched) {
        size_t work = piece;

        at +=
            pattern_search(&search, &pattern, (const uint8_t *)line + at, strlen(line) - at, &work);
    }
    return search.matched || pattern_end(&search, &pattern);
}

static bool matches(const char *text, const char *line)
{
    bool whole = matches_in_pieces(text, line, true, false, 1 << 20);

    assert_int_equal(matches_in_pieces(text, line, true, false, 1), whole);
    return whole;
}

static const char *refusal(const char *text)
{
    const struct pattern_options options = {.regex = true};

    return pattern_compile(&pattern, text, &options);
}

static void test_a_text_is_itself(void **state)
{
    (void)state;
    assert_true(matches_in_pieces("a.b", "xa.by", false, false, 1));
    assert_false(matches_in_pieces("a.b", "axb", false, false, 1));
    assert_true(matches_in_pieces("[x", "a[x", false, false, 1));
    assert_true(matches_in_pieces("aab", "aaab", false, false, 1));
    assert_true(matches_in_pieces("Word", "a wORD", false, true, 1));
    assert_false(matches_in_pieces("Word", "a wORD", false, false, 1));
}

static void test_expressions(void **state)
{
    static const struct {
        const char *text;
        const char *line;
        bool matches;
    } cases[] = {
        {"^abc$", "abc", true},
        {"^abc$", "xabc", false},
        {"^abc$", "abcx", false},
        {"^$", "", true},
        {"^$", "x", false},
        {"", "anything", true},
        {"b$", "ab", true},
        {"b$", "ba", false},
        {"a|b$", "xb", true},
        {"colou?r", "color", true},
        {"colou?r", "colouur", false},
        {"^ab*c$", "ac", true},
        {"^ab*c$", "abbbc", true},
        {"^ab+c$", "ac", false},
        {"^ab+c$", "abbc", true},
        {"^(ab)+$", "ababab", true},
        {"^(ab)+$", "ababa", false},
        {"^(a|b)*c$", "abbac", true},
        {"^a{3}$", "aaa", true},
        {"^a{3}$", "aa", false},
        {"^a{3}$", "aaaa", false},
        {"^a{2,3}$", "aa", true},
        {"^a{2,3}$", "aaa", true},
        {"^a{2,3}$", "aaaa", false},
        {"^a{2,3}$", "a", false},
        {"^a{2,}$", "aaaaa", true},
        {"^a{2,}$", "a", false},
        {"^a{0}b$", "b", true},
        {"^a{0,2}b$", "aab", true},
        {"^a{0,2}b$", "aaab", false},
        {"^(ab{2}){2}$", "abbabb", true},
        {"^(a?){3}b$", "aab", true},
        {"^(a|){2}b$", "ab", true},
        {"[0-9]+", "x42", true},
        {"[^0-9]", "42", false},
        {"^[]a]+$", "]a]", true},
        {"^[a-]+$", "a-", true},
        {"^[[:upper:]_]+$", "A_B", true},
        {"[[:digit:]]", "x", false},
        {"^.$", "\303\251", true},
        {"^..$", "\303\251", false},
        {"^[^a]$", "\303\251", true},
        {"^\303\251+$", "\303\251\303\251", true},
        {"^.$", "\377", false},
        {"\\.", "a.b", true},
        {"\\.", "ab", false},
        {"^\\d+\\s\\w+$", "12 a_b", true},
        {"a\\tb", "a\tb", true},
        {"(a|b|c){2}", "xca", true},
        {"x(a*)*y", "xaaay", true},
        {"^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
        {"a||b", "x", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (matches(cases[i].text, cases[i].line) != cases[i].matches)
            fail_msg("'%s' and '%s'", cases[i].text, cases[i].line);
}

static void test_what_is_no_expression_is_refused(void **state)
{
    static const char *const bad[] = {
        "*",
        "a|*",
        "(",
        ")",
        "(a",
        "a)",
        "[a",
        "[z-a]",
        "[[:no:]]",
        "[\303\251]",
        "a{2,1}",
        "a{256}",
        "a{x}",
        "a{1",
        "\\",
        "\\q",
        "+",
        "?",
        "{2}",
        "a\nb",
        "[",
        "[[.a.]]",
        "(((a{255}){255}){255})",
        "((((((a?){9}){9}){9}){9}){9})",
        "((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!refusal(bad[i]))
            fail_msg("'%s' is taken", bad[i]);
}

/* What makes a search that goes back take for ever costs here as much as its states. */
static void test_work_is_bounded_whatever_the_expression(void **state)
{
    enum { LINE = 10 * 1000 };
    static char line[LINE + 1];
    const size_t most = (size_t)LINE * (PATTERN_STEPS_MAX + 1) * 2;
    size_t work = most;

    (void)state;
    memset(line, 'a', LINE);
    assert_null(refusal("(a*)*(a|aa)+((a?){30})+b$"));
    pattern_begin(&search);
    assert_int_equal(pattern_search(&search, &pattern, (const uint8_t *)line, LINE, &work), LINE);
    assert_true(work > 0);
    assert_false(pattern_end(&search, &pattern));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_text_is_itself),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_what_is_no_expression_is_refused),
        cmocka_unit_test(test_work_is_bounded_whatever_the_expression),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
