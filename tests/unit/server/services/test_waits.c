/* What holds a thread for long: a tenant may have so much of it. */
#include "server/services/waits.h"

#include "server/services/file_search.h"
#include "server/services/places.h"
#include "server/services/processes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct caller caller = {.tenant = {{1}}, .role = ROLE_MEMBER};
static const struct caller other = {.tenant = {{2}}, .role = ROLE_MEMBER};
static const struct id sandbox = {{3}};

/* Nothing but places: what is refused asks neither the database nor a sandbox. */
static struct services services;
static struct wait_place held[WAITS_OF_TENANT];

static int setup(void **state)
{
    (void)state;
    memset(&services, 0, sizeof(services));
    if (places_create(&services.waits, NULL) < 0)
        return -1;
    for (size_t i = 0; i < WAITS_OF_TENANT; i++)
        if (wait_enter(&services, &caller, &held[i], NULL) < 0)
            return -1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < WAITS_OF_TENANT; i++)
        wait_leave(&held[i]);
    places_free(services.waits);
    return 0;
}

static void test_another_tenant_has_its_own(void **state)
{
    struct wait_place place;
    struct error err;

    (void)state;
    assert_int_equal(wait_enter(&services, &other, &place, &err), 0);
    wait_leave(&place);
    assert_int_equal(wait_enter(&services, &caller, &place, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
}

static void test_a_search_counts(void **state)
{
    static const struct agent_search_request request = {.timeout_ms = 1000};
    struct agent_matches matches;
    struct error err;

    (void)state;
    assert_int_equal(file_search(&services, &caller, &sandbox, &request, &matches, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
}

static void test_a_wait_and_input_count(void **state)
{
    struct process_info info;
    struct error err;

    (void)state;
    assert_int_equal(processes_wait(&services, &caller, &sandbox, &sandbox, 1, &info, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    assert_int_equal(processes_input(&services, &caller, &sandbox, &sandbox, "x", 1, false, &err),
                     -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_another_tenant_has_its_own),
        TEST(test_a_search_counts),
        TEST(test_a_wait_and_input_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
