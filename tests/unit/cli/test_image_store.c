#include "cli/image_store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char state_dir[] = "/tmp/atoll-images-XXXXXX";

static int make_state(void **state)
{
    (void)state;
    (void)strcpy(state_dir, "/tmp/atoll-images-XXXXXX");
    return mkdtemp(state_dir) ? 0 : -1;
}

static int remove_state(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", state_dir);
    return system(command);
}

/* The folders are root's. */
static void need_root(void)
{
    if (geteuid() != 0)
        skip();
}

static void open_store(struct image_store *store, bool in_use)
{
    struct error err = {0};

    if (image_store_open_locked(state_dir, in_use, store, &err) < 0)
        fail_msg("%s", err.message);
}

static bool exists(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/images/%s", state_dir, name);
    return access(path, F_OK) == 0;
}

static void begin_with_file(const struct image_store *store, const char *name, const char *file)
{
    char folder[IMAGE_PATH_SIZE];
    char path[IMAGE_PATH_SIZE + 64];
    struct error err = {0};
    FILE *out;

    assert_int_equal(image_store_begin(store, name, false, folder, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    out = fopen(path, "w");
    assert_non_null(out);
    (void)fclose(out);
}

static void publish(const struct image_store *store, const char *name)
{
    struct image_info info = {
        .built_at = "2026-01-01T00:00:00Z", .source = "s\"\n", .size_bytes = 7};
    struct error err = {0};

    (void)snprintf(info.name, sizeof(info.name), "%s", name);
    if (image_store_publish(store, &info, &err) < 0)
        fail_msg("%s", err.message);
}

static void test_names(void **state)
{
    static const char *const good[] = {"a", "0", "base", "a.b_c-d", "node-20"};
    static const char *const bad[] = {"",  ".",   "..",  ".a",  "-a", "_a",
                                      "A", "a/b", "a b", "a\n", "é"};
    char name[IMAGE_NAME_MAX + 2];
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(image_name_check(good[i], &err), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(image_name_check(bad[i], &err), -1);
    memset(name, 'a', sizeof(name));
    name[IMAGE_NAME_MAX + 1] = '\0';
    assert_int_equal(image_name_check(name, &err), -1);
    name[IMAGE_NAME_MAX] = '\0';
    assert_int_equal(image_name_check(name, &err), 0);
}

static void test_publish_gives_the_name(void **state)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    struct stat info;
    char path[256];

    (void)state;
    need_root();
    open_store(&store, false);
    begin_with_file(&store, "one", "first");
    assert_false(image_store_has(&store, "one"));
    publish(&store, "one");
    assert_true(image_store_has(&store, "one"));
    assert_true(exists("one/first"));
    assert_false(exists(".building-one"));
    (void)snprintf(path, sizeof(path), "%s/images/one", state_dir);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
}

static void test_publish_replaces_at_once_and_keeps_the_old_tree(void **state)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    struct error err;

    (void)state;
    need_root();
    open_store(&store, true);
    begin_with_file(&store, "one", "first");
    publish(&store, "one");
    begin_with_file(&store, "one", "second");
    publish(&store, "one");
    assert_true(exists("one/second"));
    assert_false(exists("one/first"));
    assert_true(exists(".old-one-0/first"));

    /* While sandboxes live the old tree stays, then it goes. */
    assert_int_equal(image_store_sweep(&store, true, &err), 0);
    assert_true(exists(".old-one-0"));
    assert_int_equal(image_store_sweep(&store, false, &err), 0);
    assert_false(exists(".old-one-0"));
    assert_true(exists("one/second"));
}

static void test_retire(void **state)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    struct error err;

    (void)state;
    need_root();
    open_store(&store, true);
    assert_int_equal(image_store_retire(&store, "one", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    begin_with_file(&store, "one", "first");
    publish(&store, "one");
    assert_int_equal(image_store_retire(&store, "one", &err), 0);
    assert_false(image_store_has(&store, "one"));
    assert_true(exists(".old-one-0/first"));
}

static void test_open_sweeps_a_killed_build(void **state)
{
    struct image_store store;

    (void)state;
    need_root();
    open_store(&store, false);
    begin_with_file(&store, "one", "half");
    image_store_close(&store);
    assert_true(exists(".building-one/half"));
    open_store(&store, true);
    assert_false(exists(".building-one"));
    image_store_close(&store);
}

static void test_one_command_at_a_time(void **state)
{
    _cleanup_image_store_ struct image_store first = {.lock_fd = -1};
    struct image_store second;
    struct error err;

    (void)state;
    need_root();
    open_store(&first, false);
    assert_int_equal(image_store_open_locked(state_dir, false, &second, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
}

static void note(const struct image_info *info, void *userdata)
{
    struct image_info *found = userdata;

    assert_string_equal(found->name, "");
    *found = *info;
}

static void test_list_reads_what_was_written(void **state)
{
    _cleanup_image_store_ struct image_store store = {.lock_fd = -1};
    struct image_info found = {0};
    struct error err;

    (void)state;
    need_root();
    open_store(&store, false);
    begin_with_file(&store, "one", "first");
    publish(&store, "one");
    assert_int_equal(image_store_list(&store, note, &found, &err), 0);
    assert_string_equal(found.name, "one");
    assert_string_equal(found.built_at, "2026-01-01T00:00:00Z");
    assert_string_equal(found.source, "s\"\n");
    assert_int_equal(found.size_bytes, 7);
}

static void test_list_of_no_store(void **state)
{
    struct image_store store;
    struct error err;

    (void)state;
    assert_int_equal(image_store_open(state_dir, &store, &err), 0);
    assert_int_equal(image_store_list(&store, note, NULL, &err), 0);
}

int main(void)
{
#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, make_state, remove_state)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        STORE_TEST(test_publish_gives_the_name),
        STORE_TEST(test_publish_replaces_at_once_and_keeps_the_old_tree),
        STORE_TEST(test_retire),
        STORE_TEST(test_open_sweeps_a_killed_build),
        STORE_TEST(test_one_command_at_a_time),
        STORE_TEST(test_list_reads_what_was_written),
        STORE_TEST(test_list_of_no_store),
    };

    return cmocka_run_group_tests_name("image_store", tests, NULL, NULL);
}
