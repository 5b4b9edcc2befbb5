/* One mistake in a request has one error, whichever request it is in. */
#include "lib/runtime/agent_check.h"
#include "lib/runtime/agent_files.h"
#include "lib/runtime/agent_search.h"
#include "lib/runtime/agent_watch.h"
#include "tests/unit/agent/agent_fixture.h"

#include <atoll/agent_proto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_refused(int result, const struct error *err, const char *field)
{
    assert_int_equal(result, -1);
    assert_int_equal(err->code, ERR_INVALID_FIELD);
    assert_string_equal(err->field, field);
}

static void test_paths_are_absolute_and_bounded(void **state)
{
    char path[AGENT_PATH_MAX + 1] = "/";
    struct error err = {0};

    (void)state;
    memset(path + 1, 'x', AGENT_PATH_MAX - 2);
    assert_int_equal(agent_check_path("target", path, &err), 0);
    path[AGENT_PATH_MAX - 1] = 'x';
    assert_refused(agent_check_path("target", path, &err), &err, "target");
    assert_refused(agent_check_path("target", "relative", &err), &err, "target");
    assert_refused(agent_check_path("target", "", &err), &err, "target");
}

static void test_users_are_bounded(void **state)
{
    char user[AGENT_USER_MAX + 1] = "";
    struct error err = {0};

    (void)state;
    assert_refused(agent_check_user(user, &err), &err, "user");
    memset(user, 'x', AGENT_USER_MAX - 1);
    assert_int_equal(agent_check_user(user, &err), 0);
    user[AGENT_USER_MAX - 1] = 'x';
    assert_refused(agent_check_user(user, &err), &err, "user");
}

static void test_users_are_names_or_ids(void **state)
{
    static const char *const good[] = {"user", "0:0", "65535:65535", "www-data", "3d", "a b"};
    static const char *const bad[] = {"0",       "-1",           "1000",  "-1:-1",    "65536:0",
                                      "0:65536", "4294967296:0", ":",     "1:",       ":1",
                                      "1:2:3",   "a:b",          "0x1:0", "000000:0", "+1:1"};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(agent_check_user(good[i], &err), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(agent_check_user(bad[i], &err), &err, "user");
}

/* A relative path, and then a user of no name, in each kind of request. */
static void test_one_mistake_has_one_code(void **state)
{
    static const struct mistake {
        const char *user, *path, *field;
    } mistakes[] = {{"root", "relative", "path"}, {"", "/", "user"}};

    for (size_t i = 0; i < 2; i++) {
        const struct mistake *mistake = &mistakes[i];
        const struct agent_file_request stat = {
            .type = AGENT_FRAME_STAT, .user = mistake->user, .path = mistake->path};
        const struct agent_search_request search = {
            .user = mistake->user, .path = mistake->path, .name = "*", .limit = 1, .timeout_ms = 1};
        const struct agent_watch_request watch = {.user = mistake->user, .path = mistake->path};
        struct agent_client *client = agent_fixture_connect(agent_group(state));
        int64_t deadline = agent_fixture_deadline();
        struct agent_matches matches;
        struct agent_watch *watched;
        struct error err = {0};

        assert_refused(agent_files_change(client, &stat, deadline, &err), &err, mistake->field);
        assert_refused(agent_search(client, &search, deadline, &matches, &err), &err,
                       mistake->field);
        assert_refused(agent_watch_begin(client, &watch, deadline, &watched, &err), &err,
                       mistake->field); /* and the client is gone */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_absolute_and_bounded),
        cmocka_unit_test(test_users_are_bounded),
        cmocka_unit_test(test_users_are_names_or_ids),
        cmocka_unit_test(test_one_mistake_has_one_code),
    };

    return cmocka_run_group_tests_name("texts of requests to an agent", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
