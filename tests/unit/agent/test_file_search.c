/* A search in pieces: nothing that is searched holds up the agent's other connections. */
#include "agent/file_search.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LINE_SIZE = 8 * 1024 * 1024,
    STEP_MAX = 512 * 1024, /* bytes that one piece may pass */
};

/* A file of one long line. */
static int make_line(char *path, size_t size)
{
    static char bytes[64 * 1024];
    char name[] = "/tmp/atoll-search-XXXXXX";
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    memset(bytes, 'a', sizeof(bytes));
    for (size_t left = LINE_SIZE; left > 0; left -= sizeof(bytes))
        assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    assert_true(snprintf(path, size, "%s", name) < (int)size);
    return fd;
}

/* Counts the pieces until the search is over. */
static size_t run(struct file_search *search)
{
    static struct outbox outbox;
    size_t pieces = 0;

    outbox = (struct outbox){.start = 0};
    while (file_search_pump(search, &outbox) == FILE_SEARCH_MOVED)
        pieces++;
    assert_null(search->state);
    return pieces;
}

static size_t search_line_for(const char *content)
{
    char path[64];
    int fd = make_line(path, sizeof(path));
    const struct agent_search_message message = {
        .flags = AGENT_SEARCH_CONTENT,
        .limit = 10,
        .timeout_ms = AGENT_SEARCH_MS_MAX,
        .user = "0:0",
        .path = path,
        .name = "",
        .content = content,
    };
    struct file_search search = {.state = NULL};
    struct agent_error_message error;
    bool begun = file_search_begin(&search, &message, &error);

    unlink(path);
    close(fd);
    assert_true(begun);
    return run(&search);
}

static void test_a_long_line_is_searched_in_pieces(void **state)
{
    (void)state;
    assert_true(search_line_for("b") >= LINE_SIZE / STEP_MAX);
}

static void test_the_rest_of_a_line_that_matched_is_passed_in_pieces(void **state)
{
    (void)state;
    assert_true(search_line_for("a") >= LINE_SIZE / STEP_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_line_is_searched_in_pieces),
        cmocka_unit_test(test_the_rest_of_a_line_that_matched_is_passed_in_pieces),
    };

    return cmocka_run_group_tests_name("agent: pieces of a search", tests, NULL, NULL);
}
