#include "server/edge/flow.h"
#include "server/edge/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 100 };

static struct edge_flows flows;
static uint64_t next_number;

static int setup(void **state)
{
    (void)state;
    edge_flows_init(&flows);
    next_number = 0;
    return 0;
}

static struct edge_conn *wait_in(struct edge_conn *conn, struct edge_flow *flow, bool whole)
{
    *conn = (struct edge_conn){.flow = flow, .queue_number = next_number++};
    conn->request.body_done = whole;
    edge_flow_add(&flows, conn);
    return conn;
}

/* Serves the next as the loop does; NULL when nobody may be. */
static struct edge_conn *serve(unsigned most)
{
    struct edge_conn *conn = edge_flow_next(&flows, most, true, true);

    if (conn) {
        edge_flow_serve(&flows, conn);
        conn->flow->attached++;
    }
    return conn;
}

static struct edge_flow *find(const char *head, const char *client)
{
    struct edge_head parsed;
    char text[512];
    int size = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", head);

    assert_int_equal(edge_head_parse(text, (size_t)size, &parsed, NULL), 0);
    return edge_flow_find(&flows, "secret", &parsed, client);
}

static void test_a_flood_has_every_second_turn(void **state)
{
    struct edge_conn flood[MANY], single[3];

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        (void)wait_in(&flood[i], &flows.table[1], true);
    for (size_t i = 0; i < 3; i++)
        (void)wait_in(&single[i], &flows.table[2], true);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(serve(MANY), &flood[i]);
        assert_ptr_equal(serve(MANY), &single[i]);
    }
    for (size_t i = 3; i < MANY; i++)
        assert_ptr_equal(serve(MANY), &flood[i]);
    assert_null(serve(MANY));
}

static void test_a_flow_that_comes_again_is_behind_the_others(void **state)
{
    struct edge_conn first, again, others[2];

    (void)state;
    (void)wait_in(&first, &flows.table[1], true);
    (void)wait_in(&others[0], &flows.table[2], true);
    (void)wait_in(&others[1], &flows.table[3], true);
    assert_ptr_equal(serve(9), &first);
    (void)wait_in(&again, &flows.table[1], true);
    assert_ptr_equal(serve(9), &others[0]);
    assert_ptr_equal(serve(9), &others[1]);
    assert_ptr_equal(serve(9), &again);
}

static void test_a_flow_holds_its_part_at_most(void **state)
{
    struct edge_conn flood[3], late;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        (void)wait_in(&flood[i], &flows.table[1], true);
    assert_ptr_equal(serve(2), &flood[0]);
    assert_ptr_equal(serve(2), &flood[1]);
    assert_null(serve(2));
    (void)wait_in(&late, &flows.table[2], true);
    assert_ptr_equal(serve(2), &late);
    flows.table[1].attached--;
    assert_ptr_equal(serve(2), &flood[2]);
}

static void test_kinds_that_may_not_go_are_passed_over(void **state)
{
    struct edge_conn arriving, whole, other;

    (void)state;
    (void)wait_in(&arriving, &flows.table[1], false);
    (void)wait_in(&whole, &flows.table[1], true);
    (void)wait_in(&other, &flows.table[2], false);
    assert_ptr_equal(edge_flow_next(&flows, 9, true, true), &arriving);
    assert_ptr_equal(edge_flow_next(&flows, 9, true, false), &whole);
    assert_null(edge_flow_next(&flows, 9, false, false));
    edge_flow_remove(&flows, &arriving);
    assert_ptr_equal(edge_flow_next(&flows, 9, false, true), &other);
    edge_flow_remove(&flows, &whole);
    edge_flow_remove(&flows, &other);
    assert_true(TAILQ_EMPTY(&flows.turns));
}

static void test_a_credential_is_a_flow_wherever_it_comes_from(void **state)
{
    struct edge_flow *token = find("Authorization: Bearer one\r\n", "10.0.0.1");
    struct edge_flow *key = find("x-api-key: two\r\n", "10.0.0.1");

    (void)state;
    assert_ptr_equal(token, find("AUTHORIZATION: Bearer one\r\nX: y\r\n", "10.0.0.2"));
    assert_ptr_equal(key, find("X-Api-Key: two\r\n", "10.0.0.9"));
    assert_ptr_not_equal(token, find("Authorization: Bearer other\r\n", "10.0.0.1"));
    assert_ptr_not_equal(token, key);
    assert_ptr_equal(find("", "10.0.0.1"), find("X: y\r\n", "10.0.0.1"));
    assert_ptr_not_equal(find("", "10.0.0.1"), find("", "10.0.0.2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_flood_has_every_second_turn, setup),
        cmocka_unit_test_setup(test_a_flow_that_comes_again_is_behind_the_others, setup),
        cmocka_unit_test_setup(test_a_flow_holds_its_part_at_most, setup),
        cmocka_unit_test_setup(test_kinds_that_may_not_go_are_passed_over, setup),
        cmocka_unit_test_setup(test_a_credential_is_a_flow_wherever_it_comes_from, setup),
    };

    return cmocka_run_group_tests_name("edge/flow", tests, NULL, NULL);
}
