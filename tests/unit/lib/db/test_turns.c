/* The order in which those who wait for a connection get one. */
#include "lib/db/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TURNS_MAX = 16 };

struct line {
    struct db_turns turns;
    struct db_turn items[TURNS_MAX];
    size_t count;
};

/* Puts in one for each letter, which names its tenant. */
static void add(struct line *line, const char *tenants)
{
    for (; *tenants; tenants++) {
        struct db_turn *turn = &line->items[line->count++];

        assert_true(line->count <= TURNS_MAX);
        *turn = (struct db_turn){.tenant = {.bytes = {(uint8_t)*tenants}}};
        db_turns_add(&line->turns, turn);
    }
}

/* Takes out as many as there are letters, which they must be. */
static void expect(struct line *line, const char *tenants)
{
    for (; *tenants; tenants++) {
        const struct db_turn *turn = db_turns_take(&line->turns);

        assert_non_null(turn);
        assert_int_equal(turn->tenant.bytes[0], *tenants);
    }
}

static void expect_all(struct line *line, const char *tenants)
{
    expect(line, tenants);
    assert_null(db_turns_take(&line->turns));
}

static int make_line(void **state)
{
    static struct line line;

    line.count = 0;
    db_turns_init(&line.turns);
    *state = &line;
    return 0;
}

static void one_tenant_is_served_as_it_came(void **state)
{
    struct line *line = *state;
    const struct db_turn *first = &line->items[0];

    add(line, "aaa");
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(db_turns_take(&line->turns), first + i);
    assert_null(db_turns_take(&line->turns));
}

static void tenants_take_turns(void **state)
{
    add(*state, "aaaabbc");
    expect_all(*state, "abcabaa");
}

static void who_comes_later_does_not_wait_for_a_burst(void **state)
{
    add(*state, "aaaaaa");
    expect(*state, "aa");
    add(*state, "b");
    expect_all(*state, "abaaa");
}

/* One whose next request always comes just after the last one was served takes every other turn. */
static void who_comes_again_and_again_takes_nobodys_turn(void **state)
{
    add(*state, "aaaab");
    for (int i = 0; i < 3; i++) {
        expect(*state, "ab");
        add(*state, "b");
    }
    expect_all(*state, "ab");
}

static void who_gives_up_leaves_no_gap(void **state)
{
    struct line *line = *state;

    add(line, "aab");
    db_turns_remove(&line->turns, &line->items[0]);
    add(line, "c");
    expect_all(line, "bca");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_tenant_is_served_as_it_came, make_line),
        cmocka_unit_test_setup(tenants_take_turns, make_line),
        cmocka_unit_test_setup(who_comes_later_does_not_wait_for_a_burst, make_line),
        cmocka_unit_test_setup(who_comes_again_and_again_takes_nobodys_turn, make_line),
        cmocka_unit_test_setup(who_gives_up_leaves_no_gap, make_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
