#include "server/services/agents.h"

#include "lib/base/util.h"
#include "tests/unit/support/agent_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* So long an event is waited for that must come. */
enum { FAR_MS = 600 * 1000 };

static const struct id one = {{1}};
static const struct id two = {{2}};

static struct agents *agents;
static int far_ends[2 * AGENTS_MAX]; /* the agents' ends of the connections, in their order */
static size_t connections;

static int setup(void **state)
{
    struct error err;

    (void)state;
    connections = 0;
    return agents_start(FAR_MS, &agents, &err);
}

static int setup_short(void **state)
{
    struct error err;

    (void)state;
    connections = 0;
    return agents_start(1, &agents, &err);
}

static int teardown(void **state)
{
    (void)state;
    agents_stop(agents);
    for (size_t i = 0; i < connections; i++)
        close(far_ends[i]);
    return 0;
}

static struct agent_client *new_client(void)
{
    struct agent_client *client;
    struct error err;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    far_ends[connections++] = fds[0];
    assert_int_equal(agent_client_adopt(fds[1], &client, &err), 0);
    return client;
}

static bool is_closed(size_t connection, int timeout_ms)
{
    struct pollfd watched = {.fd = far_ends[connection], .events = POLLRDHUP};

    return poll(&watched, 1, timeout_ms) == 1 && (watched.revents & POLLRDHUP) != 0;
}

static void test_the_last_one_of_the_generation_is_taken(void **state)
{
    struct agent_client *first = new_client();
    struct agent_client *second = new_client();

    (void)state;
    agents_give(agents, &one, 1, first);
    agents_give(agents, &one, 1, second);
    agents_give(agents, &one, 2, new_client());
    agents_give(agents, &two, 1, new_client());
    assert_ptr_equal(agents_take(agents, &one, 1), second);
    assert_ptr_equal(agents_take(agents, &one, 1), first);
    assert_null(agents_take(agents, &one, 1));
    agent_client_free(first);
    agent_client_free(second);
}

static void test_what_the_agent_closed_is_not_used(void **state)
{
    struct agent_client *client = new_client();

    (void)state;
    agents_give(agents, &one, 1, client);
    agents_give(agents, &one, 1, new_client());
    assert_int_equal(shutdown(far_ends[1], SHUT_RDWR), 0);
    assert_ptr_equal(agents_take(agents, &one, 1), client);
    agent_client_free(client);
    assert_true(is_closed(1, 0));
}

static void test_an_agent_that_talks_unasked_is_not_listened_to(void **state)
{
    (void)state;
    agents_give(agents, &one, 1, new_client());
    assert_int_equal(write(far_ends[0], "x", 1), 1);
    assert_null(agents_take(agents, &one, 1));
    assert_true(is_closed(0, 0));
}

static void test_what_is_broken_off_is_closed(void **state)
{
    struct agent_client *client = new_client();
    struct error err;

    (void)state;
    assert_int_equal(agent_call_ping(client, monotonic_usec(), &err), -1);
    agents_give(agents, &one, 1, client);
    assert_true(is_closed(0, 0));
    assert_null(agents_take(agents, &one, 1));
}

static void test_a_container_has_a_bound(void **state)
{
    (void)state;
    for (size_t i = 0; i < AGENTS_OF_CONTAINER_MAX + 1; i++)
        agents_give(agents, &one, 1, new_client());
    assert_true(is_closed(AGENTS_OF_CONTAINER_MAX, 0));
    assert_false(is_closed(AGENTS_OF_CONTAINER_MAX - 1, 0));
}

static void test_all_have_a_bound(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < AGENTS_MAX; i++) {
        const struct id container = {{i}};

        agents_give(agents, &container, 1, new_client());
        assert_false(is_closed(0, 0));
    }
    agents_give(agents, &one, 2, new_client());
    assert_true(is_closed(0, 0));
    assert_false(is_closed(1, 0));
}

static void test_what_is_not_used_is_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) { /* the second time the thread had nothing to do */
        agents_give(agents, &one, 1, new_client());
        assert_true(is_closed(i, FAR_MS));
        assert_null(agents_take(agents, &one, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_last_one_of_the_generation_is_taken, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_the_agent_closed_is_not_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_agent_that_talks_unasked_is_not_listened_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_broken_off_is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_container_has_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_have_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_used_is_closed, setup_short, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
