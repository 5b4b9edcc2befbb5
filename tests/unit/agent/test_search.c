/* Files searched through the real agent. */
#include "lib/base/util.h"
#include "lib/runtime/agent_search.h"
#include "tests/unit/agent/agent_fixture.h"
#include "tests/unit/support/agent_calls.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY "65534:65534"

struct place {
    struct agent_client *client;
    struct agent_matches matches;
    struct error err;
    char folder[AGENT_FIXTURE_FOLDER_SIZE];
};

static struct place begin(void **state)
{
    struct place place = {.client = agent_fixture_connect(agent_group(state))};

    agent_fixture_folder(agent_group(state), place.folder);
    return place;
}

static void end(struct place *place)
{
    agent_matches_free(&place->matches);
    agent_client_free(place->client);
}

static void put(const struct place *place, const char *name, const void *content, size_t size)
{
    char path[PATH_MAX];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", place->folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Puts a text into the middle of bytes. */
static void embed(char *bytes, const char *text)
{
    for (; *text; text++)
        *bytes++ = *text;
}

static struct agent_search_request request_of(const struct place *place)
{
    return (struct agent_search_request){
        .user = NOBODY, .path = place->folder, .limit = 100, .timeout_ms = AGENT_SEARCH_MS_MAX};
}

static void search(struct place *place, const struct agent_search_request *request)
{
    agent_matches_free(&place->matches);
    if (agent_search(place->client, request, agent_fixture_deadline(), &place->matches,
                     &place->err) < 0)
        fail_msg("%s", place->err.message);
}

static void test_a_line_is_found_wherever_a_read_ends(void **state)
{
    enum { STEP = 4093 };
    const size_t size = 200000;
    struct place place = begin(state);
    struct agent_search_request request = request_of(&place);
    char *content = malloc(size);

    assert_non_null(content);
    request.content = "needle";
    for (size_t at = 60000; at < size - 100; at += STEP) {
        memset(content, 'x', size);
        content[at / 2] = '\n';
        content[at - 1] = '\n';
        embed(content + at, "a needle here\n");
        put(&place, "file", content, size);
        search(&place, &request);
        assert_int_equal(place.matches.count, 1);
        assert_int_equal(place.matches.items[0].line, 3);
        assert_string_equal(place.matches.items[0].text, "a needle here");
        assert_false(place.matches.items[0].is_cut);
    }
    free(content);
    end(&place);
}

static void test_a_match_in_a_line_without_end_is_found_once(void **state)
{
    enum { SIZE = 300 * 1000 };
    struct place place = begin(state);
    struct agent_search_request request = request_of(&place);
    char *content = malloc(SIZE);

    assert_non_null(content);
    request.content = "ne+dle";
    request.regex = true;
    for (size_t at = 65530; at < 65545; at++) {
        memset(content, 'x', SIZE);
        embed(content + at, "needle");
        embed(content + SIZE - 10, "needle");
        put(&place, "file", content, SIZE);
        search(&place, &request);
        assert_int_equal(place.matches.count, 1);
        assert_int_equal(place.matches.items[0].line, 1);
        assert_non_null(strstr(place.matches.items[0].text, "needle"));
        assert_true(place.matches.items[0].is_cut);
    }
    free(content);
    end(&place);
}

static void test_a_last_line_without_its_end_is_whole(void **state)
{
    static const size_t sizes[] = {6, 10, 65536, 65537, 100000};
    struct place place = begin(state);
    struct agent_search_request request = request_of(&place);
    char content[100000];

    request.content = "needle";
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        size_t begin = sizes[i] < 500 ? 0 : sizes[i] - 500;

        memset(content, 'x', sizes[i]);
        if (begin > 0)
            content[begin - 1] = '\n';
        embed(content + begin, "needle");
        put(&place, "file", content, sizes[i]);
        search(&place, &request);
        assert_int_equal(place.matches.count, 1);
        assert_int_equal(strlen(place.matches.items[0].text), sizes[i] - begin);
        assert_false(place.matches.items[0].is_cut);
    }
    /* Of a line that turns binary before its end, what was read is a part. */
    memset(content, 'x', sizeof(content));
    embed(content, "needle");
    content[70000] = '\0';
    put(&place, "file", content, sizeof(content));
    search(&place, &request);
    assert_int_equal(place.matches.count, 1);
    assert_true(place.matches.items[0].is_cut);
    end(&place);
}

static void test_the_answer_is_bounded_and_says_so(void **state)
{
    struct place place = begin(state);
    struct agent_search_request request = request_of(&place);

    put(&place, "file", "a\na\na\n", 6);
    request.content = "a";
    request.limit = 3;
    search(&place, &request);
    assert_int_equal(place.matches.count, 3);
    assert_false(place.matches.is_limited);
    request.limit = 2;
    search(&place, &request);
    assert_int_equal(place.matches.count, 2);
    assert_true(place.matches.is_limited);
    end(&place);
}

/* Its end is its time, and the connection is of use afterwards, as all others are. */
static void test_a_costly_search_ends_with_its_time(void **state)
{
    enum { SIZE = 64 * 1000 * 1000 };
    struct place place = begin(state);
    struct place other = begin(state);
    struct agent_search_request request = request_of(&place);
    char *content = malloc(SIZE);

    assert_non_null(content);
    memset(content, 'a', SIZE);
    put(&place, "file", content, SIZE);
    free(content);
    request.content = "(a*)*((a?){200})+b{50}$";
    request.regex = true;
    request.timeout_ms = 1000;
    search(&place, &request);
    assert_true(place.matches.is_late);
    assert_int_equal(place.matches.count, 0);
    assert_int_equal(agent_call_ping(other.client, agent_fixture_deadline(), &other.err), 0);
    end(&other);
    end(&place);
}

static void test_what_is_no_request_is_refused(void **state)
{
    struct place place = begin(state);
    struct agent_search_request request = request_of(&place);

    request.content = "(";
    request.regex = true;
    assert_int_equal(
        agent_search(place.client, &request, agent_fixture_deadline(), &place.matches, &place.err),
        -1);
    assert_int_equal(place.err.code, ERR_NOT_POSSIBLE);
    assert_string_equal(place.err.field, "content");
    request.regex = false;
    request.path = "/proc/self/fd/4";
    assert_int_equal(
        agent_search(place.client, &request, agent_fixture_deadline(), &place.matches, &place.err),
        -1);
    assert_int_equal(place.err.code, ERR_NOT_POSSIBLE);
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_found_wherever_a_read_ends),
        cmocka_unit_test(test_a_match_in_a_line_without_end_is_found_once),
        cmocka_unit_test(test_a_last_line_without_its_end_is_whole),
        cmocka_unit_test(test_the_answer_is_bounded_and_says_so),
        cmocka_unit_test(test_a_costly_search_ends_with_its_time),
        cmocka_unit_test(test_what_is_no_request_is_refused),
    };

    return cmocka_run_group_tests(tests, agent_group_set_up, agent_group_tear_down);
}
