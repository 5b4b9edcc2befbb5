/* The queue between a producer and the edge, and the table of offers. */
#include "server/stream/stream.h"

#include "lib/base/util.h"
#include "tests/unit/support/stream_room.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

static struct streams *streams;

static int set_up(void **state)
{
    const struct streams_options options = {.guard_ms = 10, .offer_ms = 60000};

    (void)state;
    return streams_create(&options, &streams, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    streams_free(streams);
    return 0;
}

static struct stream *make(size_t capacity)
{
    struct stream *stream;

    assert_int_equal(stream_new(streams, capacity, &stream, NULL), 0);
    return stream;
}

/* Offers and takes it, as the edge does. */
static void take(struct stream *stream, void *owner)
{
    char id[STREAM_ID_SIZE];

    assert_int_equal(streams_offer(streams, stream, id, NULL), 0);
    assert_int_equal(strlen(id), STREAM_ID_SIZE - 1);
    assert_ptr_equal(streams_take(streams, id, owner), stream);
    assert_null(streams_take(streams, id, owner));
}

static bool is_woken(void)
{
    struct pollfd poller = {.fd = streams_wake_fd(streams), .events = POLLIN};
    eventfd_t count;

    if (poll(&poller, 1, 0) != 1)
        return false;
    (void)eventfd_read(poller.fd, &count);
    return true;
}

static void expect(struct stream *stream, const char *text, enum stream_state state)
{
    char bytes[256];
    enum stream_state now;
    size_t size = stream_read(stream, bytes, sizeof(bytes), &now);

    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    assert_int_equal(now, state);
}

static void test_bytes_come_out_as_they_went_in(void **state)
{
    struct stream *stream = make(8);

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_true(stream_push(stream, "abcde", 5));
        assert_int_equal(stream_room(stream), 3);
        assert_false(stream_push(stream, "1234", 4));
        assert_true(stream_push(stream, "123", 3));
        expect(stream, "abcde123", STREAM_OPEN);
    }
    stream_unref(stream);
}

static void test_an_end_comes_after_the_bytes(void **state)
{
    struct stream *stream = make(8);

    (void)state;
    assert_true(stream_push(stream, "last", 4));
    stream_finish(stream);
    stream_break(stream);
    assert_false(stream_push(stream, "x", 1));
    assert_int_equal(stream_state(stream), STREAM_DONE);
    expect(stream, "last", STREAM_DONE);
    expect(stream, "", STREAM_DONE);
    stream_unref(stream);
}

static void test_only_what_is_taken_and_has_something_wakes(void **state)
{
    struct stream *stream = make(64);
    int owner;

    (void)state;
    assert_true(stream_push(stream, "early", 5));
    assert_false(is_woken());
    take(stream, &owner);
    expect(stream, "early", STREAM_OPEN);
    assert_true(stream_push(stream, "a", 1));
    assert_true(stream_push(stream, "b", 1));
    assert_true(is_woken());
    assert_ptr_equal(streams_next_ready(streams), &owner);
    assert_null(streams_next_ready(streams));
    assert_false(is_woken());
    expect(stream, "ab", STREAM_OPEN);
    stream_finish(stream);
    assert_true(is_woken());
    assert_ptr_equal(streams_next_ready(streams), &owner);
    stream_abandon(stream);
    assert_null(streams_next_ready(streams));
    stream_unref(stream);
}

static void count_call(void *user)
{
    atomic_fetch_add((atomic_int *)user, 1);
}

static void test_a_client_that_leaves_is_told_once(void **state)
{
    struct stream *stream = make(64);
    atomic_int gone = 0;

    (void)state;
    stream_set_wake(stream, count_call, &gone);
    take(stream, NULL);
    assert_true(stream_push(stream, "never read", 10));
    stream_abandon(stream);
    assert_int_equal(gone, 1);
    assert_int_equal(stream_state(stream), STREAM_GONE);
    assert_false(stream_push(stream, "x", 1));
    assert_false(stream_write(stream, "x", 1, 60000));
    stream_unref(stream);
}

static void test_an_ended_stream_is_not_gone(void **state)
{
    struct stream *stream = make(64);
    atomic_int gone = 0;

    (void)state;
    stream_set_wake(stream, count_call, &gone);
    take(stream, NULL);
    stream_finish(stream);
    stream_abandon(stream);
    assert_int_equal(gone, 0);
    stream_unref(stream);
}

static void test_an_offer_that_nobody_takes_is_withdrawn(void **state)
{
    const struct streams_options hasty = {.guard_ms = 60000, .offer_ms = 1};
    struct streams *others;
    char id[STREAM_ID_SIZE];
    struct stream *stream;
    atomic_int gone = 0;

    (void)state;
    assert_int_equal(streams_create(&hasty, &others, NULL), 0);
    assert_int_equal(stream_new(others, 64, &stream, NULL), 0);
    stream_set_wake(stream, count_call, &gone);
    assert_int_equal(streams_offer(others, stream, id, NULL), 0);
    /* Once the queue is full, this waits until the offer is over. */
    while (stream_write(stream, "x", 1, 60000))
        continue;
    while (gone == 0)
        continue;
    assert_null(streams_take(others, id, NULL));
    stream_unref(stream);
    streams_free(others);
}

struct judge {
    atomic_bool good;
    atomic_int asked;
    atomic_int released;
};

static bool ask_judge(void *user)
{
    struct judge *judge = user;

    atomic_fetch_add(&judge->asked, 1);
    return judge->good;
}

static void release_judge(void *user)
{
    atomic_fetch_add(&((struct judge *)user)->released, 1);
}

/* Blocks until the stream says that the edge should look. */
static void await_ready(void)
{
    struct pollfd poller = {.fd = streams_wake_fd(streams), .events = POLLIN};

    assert_int_equal(poll(&poller, 1, 20000), 1);
    assert_true(is_woken());
}

static void test_a_guard_ends_the_stream(void **state)
{
    struct judge judge = {.good = true};
    struct stream *stream = make(64);

    (void)state;
    stream_set_guard(stream, ask_judge, release_judge, &judge);
    take(stream, &judge);
    while (judge.asked < 3)
        assert_int_equal(stream_state(stream), STREAM_OPEN);
    judge.good = false;
    await_ready();
    assert_int_equal(stream_state(stream), STREAM_BROKEN);
    stream_abandon(stream);
    assert_int_equal(judge.released, 0);
    stream_unref(stream);
    /* The guards' thread may hold a reference for a moment longer. */
    while (judge.released == 0)
        continue;
    assert_int_equal(judge.released, 1);
}

/* Takes its time, in which what it asks must not be freed. */
static bool ask_slowly(void *user)
{
    struct judge *judge = user;

    judge->good = false;
    for (int i = 0; i < 1000; i++)
        (void)sched_yield();
    judge->good = true;
    atomic_fetch_add(&judge->asked, 1);
    return true;
}

static void test_no_guard_is_asked_after_the_stop(void **state)
{
    const struct streams_options options = {.guard_ms = 1, .offer_ms = 60000};
    struct judge judge = {.good = true};
    char id[STREAM_ID_SIZE];
    struct streams *others;
    struct stream *stream;

    (void)state;
    assert_int_equal(streams_create(&options, &others, NULL), 0);
    assert_int_equal(stream_new(others, 64, &stream, NULL), 0);
    stream_set_guard(stream, ask_slowly, NULL, &judge);
    assert_int_equal(streams_offer(others, stream, id, NULL), 0);
    assert_ptr_equal(streams_take(others, id, &judge), stream);
    while (judge.asked < 3 || judge.good)
        continue;
    streams_stop(others);
    assert_true(judge.good);
    assert_true(stream_push(stream, "on", 2));
    stream_abandon(stream);
    stream_unref(stream);
    streams_free(others);
}

enum { TOTAL = 1 << 20 };

static void *produce(void *argument)
{
    struct stream *stream = argument;
    uint8_t bytes[1000];

    for (size_t at = 0; at < TOTAL;) {
        size_t size = 1 + at % sizeof(bytes);

        size = size < TOTAL - at ? size : TOTAL - at;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)((at + i) * 31 >> 3);
        assert_true(stream_write(stream, bytes, size, 60000));
        at += size;
    }
    stream_finish(stream);
    stream_unref(stream);
    return NULL;
}

/* A producer and the edge, as fast as they can: nothing is lost, and no wake-up either. */
static void test_a_producer_waits_for_a_slow_reader(void **state)
{
    struct stream *stream = make(777);
    enum stream_state now = STREAM_OPEN;
    pthread_t thread;
    size_t at = 0;

    (void)state;
    take(stream, stream);
    assert_int_equal(pthread_create(&thread, NULL, produce, stream_ref(stream)), 0);
    while (now == STREAM_OPEN) {
        uint8_t bytes[300];
        size_t size = stream_read(stream, bytes, sizeof(bytes), &now);

        for (size_t i = 0; i < size; i++)
            if (bytes[i] != (uint8_t)((at + i) * 31 >> 3))
                fail_msg("byte %zu", at + i);
        at += size;
        if (size == 0 && now == STREAM_OPEN) {
            await_ready();
            assert_ptr_equal(streams_next_ready(streams), stream);
        }
    }
    assert_int_equal(at, TOTAL);
    assert_int_equal(now, STREAM_DONE);
    pthread_join(thread, NULL);
    stream_abandon(stream);
    stream_unref(stream);
}

static void count_wake(void *user)
{
    (*(int *)user)++;
}

static void test_a_producer_is_woken_when_half_is_free(void **state)
{
    struct stream *stream = make(8);
    enum stream_state now;
    char bytes[8];
    int woken = 0;

    (void)state;
    stream_set_wake(stream, count_wake, &woken);
    take(stream, stream);
    assert_int_equal(stream_push_some(stream, "0123456789", 10), 8);
    assert_int_equal(stream_push_some(stream, "89", 2), 0);
    assert_int_equal(stream_read(stream, bytes, 3, &now), 3);
    assert_int_equal(woken, 0);
    assert_int_equal(stream_read(stream, bytes, 1, &now), 1);
    assert_int_equal(woken, 1);
    assert_int_equal(stream_push_some(stream, "89", 2), 2);
    assert_int_equal(stream_read(stream, bytes, 8, &now), 6);
    assert_memory_equal(bytes, "456789", 6);
    assert_int_equal(woken, 1);
    stream_abandon(stream);
    assert_int_equal(woken, 2);
    stream_unref(stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_come_out_as_they_went_in),
        TEST(test_an_end_comes_after_the_bytes),
        TEST(test_only_what_is_taken_and_has_something_wakes),
        TEST(test_a_producer_is_woken_when_half_is_free),
        TEST(test_a_client_that_leaves_is_told_once),
        TEST(test_an_ended_stream_is_not_gone),
        TEST(test_an_offer_that_nobody_takes_is_withdrawn),
        TEST(test_a_guard_ends_the_stream),
        TEST(test_no_guard_is_asked_after_the_stop),
        TEST(test_a_producer_waits_for_a_slow_reader),
    };

    return cmocka_run_group_tests_name("server/stream", tests, NULL, NULL);
}
