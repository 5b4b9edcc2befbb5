/* Which folders are watched, and where they are. */
#include "agent/watch_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct watch_tree *make_tree(void)
{
    struct watch_tree *tree = calloc(1, sizeof(*tree));

    assert_non_null(tree);
    assert_int_equal(watch_tree_add(tree, 100, 0, ""), 1);
    return tree;
}

static void assert_path(const struct watch_tree *tree, uint32_t folder, const char *name,
                        const char *wanted)
{
    char path[AGENT_PATH_MAX];

    assert_true(watch_tree_path(tree, folder, name, path, sizeof(path)));
    assert_string_equal(path, wanted);
}

static void test_paths_follow_moves(void **state)
{
    struct watch_tree *tree = make_tree();
    uint32_t a = watch_tree_add(tree, 1, 1, "a");
    uint32_t b = watch_tree_add(tree, 2, a, "b");

    (void)state;
    assert_path(tree, 1, "", "");
    assert_path(tree, 1, "f", "f");
    assert_path(tree, b, "f", "a/b/f");
    watch_tree_move(tree, b, 1, "c");
    assert_path(tree, b, "", "c");
    watch_tree_move(tree, a, b, "a");
    assert_path(tree, a, "f", "c/a/f");
    assert_int_equal(watch_tree_child(tree, 1, "a"), 0);
    assert_int_equal(watch_tree_child(tree, b, "a"), a);
    free(tree);
}

static void test_no_move_makes_a_circle(void **state)
{
    struct watch_tree *tree = make_tree();
    uint32_t a = watch_tree_add(tree, 1, 1, "a");
    uint32_t b = watch_tree_add(tree, 2, a, "b");

    (void)state;
    watch_tree_move(tree, a, b, "a");
    watch_tree_move(tree, a, a, "a");
    watch_tree_move(tree, 1, b, "root");
    assert_path(tree, b, "", "a/b");
    free(tree);
}

static void test_a_number_is_used_again(void **state)
{
    struct watch_tree *tree = make_tree();
    uint32_t a = watch_tree_add(tree, 1, 1, "a");
    uint32_t b = watch_tree_add(tree, 1 + WATCH_TREE_BUCKETS, a, "b");

    (void)state;
    assert_int_equal(watch_tree_leaf(tree, 1), b);
    watch_tree_remove(tree, b);
    assert_int_equal(watch_tree_find(tree, 1 + WATCH_TREE_BUCKETS), 0);
    assert_int_equal(watch_tree_find(tree, 1), a);
    assert_int_equal(watch_tree_leaf(tree, a), a);
    assert_int_equal(watch_tree_add(tree, 7, 1, "c"), b);
    assert_path(tree, b, "", "c");
    free(tree);
}

static void test_it_is_bounded(void **state)
{
    struct watch_tree *tree = make_tree();
    char name[16];

    (void)state;
    for (int i = 1; i < AGENT_WATCH_FOLDERS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%d", i);
        assert_int_not_equal(watch_tree_add(tree, 100 + i, 1, name), 0);
    }
    assert_int_equal(watch_tree_add(tree, 1, 1, "more"), 0);
    watch_tree_clear(tree);
    assert_int_equal(watch_tree_find(tree, 101), 0);
    assert_int_equal(watch_tree_add(tree, 1, 0, ""), 1);
    free(tree);
}

static void test_a_path_that_does_not_fit_is_told(void **state)
{
    struct watch_tree *tree = make_tree();
    uint32_t folder = watch_tree_add(tree, 1, 1, "12345");
    char path[9];

    (void)state;
    assert_true(watch_tree_path(tree, folder, "78", path, sizeof(path)));
    assert_string_equal(path, "12345/78");
    assert_false(watch_tree_path(tree, folder, "789", path, sizeof(path)));
    free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_follow_moves),
        cmocka_unit_test(test_no_move_makes_a_circle),
        cmocka_unit_test(test_a_number_is_used_again),
        cmocka_unit_test(test_it_is_bounded),
        cmocka_unit_test(test_a_path_that_does_not_fit_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
