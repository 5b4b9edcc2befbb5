#include "launcher/sandbox_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct id first_id = {{1}};
static const struct id second_id = {{2}};

static void empty(struct sandbox_table *table)
{
    while (table->first)
        sandbox_table_remove(table, table->first);
}

static void finds_by_id_and_generation(void **state)
{
    struct sandbox_table table;
    struct sandbox *one, *two;

    (void)state;
    sandbox_table_init(&table, 1 << 30);
    one = sandbox_table_add(&table, &first_id, 1);
    two = sandbox_table_add(&table, &first_id, 2);
    (void)sandbox_table_add(&table, &second_id, 1);
    assert_ptr_equal(sandbox_table_find(&table, NULL, &first_id, 1), one);
    assert_ptr_equal(sandbox_table_find(&table, NULL, &first_id, 2), two);
    assert_null(sandbox_table_find(&table, NULL, &first_id, 3));
    /* Generation 0 walks all of them. */
    assert_ptr_equal(sandbox_table_find(&table, NULL, &first_id, 0), two);
    assert_ptr_equal(sandbox_table_find(&table, two, &first_id, 0), one);
    assert_null(sandbox_table_find(&table, one, &first_id, 0));
    /* Of one that has exited nothing is left but the entry. */
    sandbox_table_exited(&table, two);
    assert_ptr_equal(sandbox_table_find_running(&table, &first_id, 0), one);
    assert_ptr_equal(sandbox_table_find_running(&table, &first_id, 1), one);
    assert_null(sandbox_table_find_running(&table, &first_id, 2));
    sandbox_table_exited(&table, one);
    assert_null(sandbox_table_find_running(&table, &first_id, 0));
    empty(&table);
    assert_int_equal(table.count, 0);
}

static void renames_to_the_place_of_the_newest(void **state)
{
    static const struct id nobody;
    struct sandbox_table table;
    struct sandbox *one, *two;

    (void)state;
    sandbox_table_init(&table, 1 << 30);
    one = sandbox_table_add(&table, &nobody, 0);
    two = sandbox_table_add(&table, &first_id, 1);
    sandbox_table_rename(&table, one, &second_id, 7);
    assert_ptr_equal(sandbox_table_find(&table, NULL, &second_id, 7), one);
    assert_string_equal(one->name, "02000000000000000000000000000000.7");
    assert_null(sandbox_table_find(&table, NULL, &nobody, 0));
    assert_ptr_equal(table.first, one);
    assert_ptr_equal(one->next, two);
    assert_null(two->next);
    assert_int_equal(table.count, 2);
    empty(&table);
}

static void gives_each_slot_once(void **state)
{
    struct sandbox_table table;
    struct sandbox *one, *two, *three;

    (void)state;
    sandbox_table_init(&table, 1 << 30);
    one = sandbox_table_add(&table, &first_id, 1);
    two = sandbox_table_add(&table, &first_id, 2);
    three = sandbox_table_add(&table, &first_id, 3);
    assert_int_equal(sandbox_slot_claim(&table, 0, &two->slot), 0);
    assert_int_equal(sandbox_slot_claim(&table, 0, &one->slot), -1);
    assert_int_equal(sandbox_slot_take(&table, &one->slot), 0);
    assert_int_equal(one->slot, 1);
    sandbox_slot_free(&table, &two->slot);
    assert_int_equal(sandbox_slot_take(&table, &three->slot), 0);
    assert_int_equal(three->slot, 0);
    assert_int_equal(sandbox_slot_claim(&table, SANDBOX_SLOTS, &two->slot), -1);
    empty(&table);
}

static void stops_at_the_last_uid(void **state)
{
    struct sandbox_table table;
    struct sandbox *one, *two;

    (void)state;
    /* Room for one block: the last uid of all is not one. */
    sandbox_table_init(&table, UINT32_MAX - 2 * SANDBOX_UIDS + 2);
    assert_int_equal(table.slots, 1);
    one = sandbox_table_add(&table, &first_id, 1);
    two = sandbox_table_add(&table, &second_id, 1);
    assert_int_equal(sandbox_slot_take(&table, &one->slot), 0);
    assert_int_equal(sandbox_slot_take(&table, &two->slot), -1);
    assert_int_equal(two->slot, SANDBOX_NO_SLOT);
    empty(&table);
}

static void gives_every_slot_of_a_full_table(void **state)
{
    struct sandbox_table table;

    (void)state;
    sandbox_table_init(&table, 1 << 30);
    for (uint32_t i = 0; i < SANDBOX_SLOTS; i++)
        assert_int_equal(
            sandbox_slot_take(&table, &sandbox_table_add(&table, &first_id, i + 1)->slot), 0);
    assert_int_equal(sandbox_slot_take(&table, &sandbox_table_add(&table, &second_id, 1)->slot),
                     -1);
    empty(&table);
}

static void forgets_the_oldest_that_exited(void **state)
{
    struct sandbox_table table;

    (void)state;
    sandbox_table_init(&table, 1 << 30);
    (void)sandbox_table_add(&table, &second_id, 1); /* alive: never forgotten */
    for (uint32_t i = 1; i <= SANDBOX_EXITED_MAX + 1; i++)
        sandbox_table_exited(&table, sandbox_table_add(&table, &first_id, i));
    /* Who goes through the table may still be at any of them. */
    assert_non_null(sandbox_table_find(&table, NULL, &first_id, 1));
    sandbox_table_trim(&table);
    assert_int_equal(table.exited, SANDBOX_EXITED_MAX);
    assert_null(sandbox_table_find(&table, NULL, &first_id, 1));
    assert_non_null(sandbox_table_find(&table, NULL, &first_id, 2));
    assert_non_null(sandbox_table_find(&table, NULL, &second_id, 1));
    empty(&table);
    assert_int_equal(table.exited, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_id_and_generation),
        cmocka_unit_test(renames_to_the_place_of_the_newest),
        cmocka_unit_test(gives_each_slot_once),
        cmocka_unit_test(stops_at_the_last_uid),
        cmocka_unit_test(gives_every_slot_of_a_full_table),
        cmocka_unit_test(forgets_the_oldest_that_exited),
    };

    return cmocka_run_group_tests_name("launcher/sandbox_table", tests, NULL, NULL);
}
