#include "launcher/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct sandbox_state_file sample = {
    .pid = 4711,
    .start_ticks = UINT64_MAX,
    .slot = 8191,
    .created_usec = INT64_MAX,
    .image = "base-1.2",
};

static void assert_same(const struct sandbox_state_file *a, const struct sandbox_state_file *b)
{
    assert_int_equal(a->pid, b->pid);
    assert_true(a->start_ticks == b->start_ticks);
    assert_int_equal(a->slot, b->slot);
    assert_true(a->created_usec == b->created_usec);
    assert_string_equal(a->image, b->image);
}

static void survives_the_way_there_and_back(void **state)
{
    struct sandbox_state_file back;
    char text[STATE_FILE_SIZE];

    (void)state;
    state_file_format(&sample, text);
    assert_true(state_file_parse(text, &back));
    assert_same(&sample, &back);
}

static void refuses_another_form(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "1 4711 5 0 9 base",
        "2 4711 5 0 9 base\n",
        "1 1 5 0 9 base\n",
        "1 -1 5 0 9 base\n",
        "1 4711 5 0 9 ../etc\n",
        "1 4711 5 0 9\n",
        "1 4711 5 0 9 base more\n",
        "1 99999999999 5 0 9 base\n",
        "1 4711 5 4294967296 9 base\n",
        "1 4711 5 0 9 base\n1 4711 5 0 9 base\n",
    };
    char longest[STATE_FILE_SIZE + 8];
    struct sandbox_state_file back;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(state_file_parse(texts[i], &back));
    memset(longest, '1', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_false(state_file_parse(longest, &back));
}

static void is_written_whole_over_an_old_one(void **state)
{
    char folder[] = "/tmp/state-file.XXXXXX";
    struct sandbox_state_file back;
    struct sandbox_state_file second = sample;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(state_file_read(fd, &back), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(state_file_write(fd, &sample), 0);
    assert_int_equal(state_file_read(fd, &back), 0);
    assert_same(&sample, &back);
    second.slot = 1;
    assert_int_equal(state_file_write(fd, &second), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(state_file_read(fd, &back), 0);
    assert_same(&sample, &back);
    assert_int_equal(unlinkat(fd, STATE_FILE_NAME, 0), 0);
    close(fd);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
}

static void finds_the_start_time_whatever_the_name(void **state)
{
    static const char plain[] = "7 (sh) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 1";
    static const char tricky[] =
        "7 (a) 1 2 (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 9 1";
    uint64_t ticks = 0;

    (void)state;
    assert_true(state_file_start_ticks(plain, &ticks));
    assert_int_equal(ticks, 123456);
    assert_true(state_file_start_ticks(tricky, &ticks));
    assert_int_equal(ticks, 987);
    assert_false(state_file_start_ticks("7 (sh) S 1 7", &ticks));
    assert_false(state_file_start_ticks("", &ticks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_way_there_and_back),
        cmocka_unit_test(refuses_another_form),
        cmocka_unit_test(is_written_whole_over_an_old_one),
        cmocka_unit_test(finds_the_start_time_whatever_the_name),
    };

    return cmocka_run_group_tests_name("launcher/state_file", tests, NULL, NULL);
}
