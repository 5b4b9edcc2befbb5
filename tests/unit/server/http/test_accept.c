#include "lib/base/util.h"
#include "server/http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_most_exact_range_decides(void **state)
{
    static const struct {
        const char *accept;
        const char *type;
        bool allowed;
    } cases[] = {
        {NULL, "application/json", true},
        {"", "application/json", true},
        {"*/*", "application/json", true},
        {"application/*", "application/json", true},
        {"APPLICATION/JSON", "application/json", true},
        {"application/json;charset=utf-8", "application/json", true},
        {"text/html", "text/html; charset=utf-8", true},
        {"text/html,application/json ; q=0.1", "application/json", true},
        {"text/html", "application/json", false},
        {"application/jso", "application/json", false},
        {"application/json5", "application/json", false},
        {"app*/json", "application/json", false},
        {"application/json;q=0", "application/json", false},
        {"application/json; q=0.000, */*", "application/json", false},
        {"*/*;q=0, application/*", "application/json", true},
        {"*/*, application/*;q=0", "application/json", false},
        {"text/html;level=1;q=0.5", "text/html", true},
        {"text/html;level=1;q=0", "text/html", false},
        {",,", "application/json", false},
        {";q=0", "application/json", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (accept_allows(cases[i].accept, cases[i].type) != cases[i].allowed)
            fail_msg("%s", cases[i].accept);
}

static void test_a_form_is_chosen_that_is_named_or_alone_allowed(void **state)
{
    static const struct {
        const char *accept;
        bool chosen;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"application/json", false},
        {"text/event-stream", true},
        {"Text/Event-Stream", true},
        {"application/json, text/event-stream;q=0.1", true},
        {"application/json, text/event-stream;q=0", false},
        {"*/*, text/event-stream; q=0", false},
        {"application/x-text/event-stream, application/json", false},
        {"text/*", true},
        {"text/*, application/json", false},
        {"*/*, application/json;q=0", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (accept_chooses(cases[i].accept, "text/event-stream", "application/json") !=
            cases[i].chosen)
            fail_msg("%s", cases[i].accept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_most_exact_range_decides),
        cmocka_unit_test(test_a_form_is_chosen_that_is_named_or_alone_allowed),
    };

    return cmocka_run_group_tests_name("server/http/accept", tests, NULL, NULL);
}
