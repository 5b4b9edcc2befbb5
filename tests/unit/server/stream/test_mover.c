/* Streams that a mover moves from pipes to their queues. */
#include "server/stream/mover.h"

#include "lib/base/util.h"
#include "tests/unit/support/stream_room.h"

#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CAPACITY = 8, PIECE = 16 };

/* Bytes of a pipe; its end sends the stream aside. */
struct piped {
    struct moved moved; /* the first member */
    int source;
    bool is_closed;
};

static struct streams *streams;
static struct mover *mover;
static atomic_int asked;
static atomic_int freed;
static sem_t moves; /* posted when something happened that a test waits for */

static enum mover_step take_step(struct moved *moved)
{
    struct piped *piped = (struct piped *)moved;
    ssize_t size;

    if (stream_state(moved->stream) != STREAM_OPEN)
        return MOVER_OVER;
    if (!moved_push(moved)) {
        (void)sem_post(&moves);
        return MOVER_NEEDS_ROOM;
    }
    if (piped->is_closed)
        return MOVER_ASIDE;
    moved->part = malloc(PIECE);
    assert_non_null(moved->part);
    size = read(piped->source, moved->part, PIECE);
    piped->is_closed = size == 0;
    moved->part_size = size > 0 ? (size_t)size : 0;
    moved->part_used = 0;
    return size < 0 ? MOVER_NEEDS_INPUT : MOVER_MORE;
}

static int source_fd(const struct moved *moved)
{
    return ((const struct piped *)moved)->source;
}

static void receive(struct moved *moved)
{
    (void)moved;
}

/* Done when it is asked for the third time. */
static bool finish_aside(struct moved *moved, void *user)
{
    assert_ptr_equal(user, &asked);
    if (atomic_fetch_add(&asked, 1) < 2)
        return false;
    stream_finish(moved->stream);
    mover_add(mover, moved);
    return true;
}

static void piped_free(struct moved *moved)
{
    (void)close(((struct piped *)moved)->source);
    stream_unref(moved->stream);
    free(moved->part);
    free(moved);
    atomic_fetch_add(&freed, 1);
    (void)sem_post(&moves);
}

static const struct mover_ops ops = {
    .name = "tests",
    .steps = 2,
    .again_ms = 1,
    .step = take_step,
    .fd = source_fd,
    .receive = receive,
    .aside = finish_aside,
    .free = piped_free,
};

static int set_up(void **state)
{
    const struct streams_options options = {.guard_ms = 10, .offer_ms = 60000};

    (void)state;
    asked = freed = 0;
    (void)sem_init(&moves, 0, 0);
    if (streams_create(&options, &streams, NULL) < 0)
        return -1;
    return mover_start(&ops, &asked, &mover, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    mover_stop(mover);
    streams_free(streams);
    (void)sem_destroy(&moves);
    return 0;
}

/* Adds one; returns its stream, and the pipe's other end. */
static struct stream *add(int *ret_pipe)
{
    struct piped *piped = calloc(1, sizeof(*piped));
    struct stream *stream;
    int ends[2];

    assert_non_null(piped);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    piped->source = ends[0];
    *ret_pipe = ends[1];
    assert_int_equal(stream_new(streams, CAPACITY, &piped->moved.stream, NULL), 0);
    stream_set_wake(piped->moved.stream, mover_wake, mover);
    stream = stream_ref(piped->moved.stream);
    mover_add(mover, &piped->moved);
    return stream;
}

static void put(int pipe, const char *text)
{
    assert_int_equal(write(pipe, text, strlen(text)), strlen(text));
}

/* Reads all of the stream: something can be read each time that a queue is full or a stream freed.
 */
static void expect(struct stream *stream, const char *text)
{
    enum stream_state state = STREAM_OPEN;
    char bytes[64];
    size_t size = 0;

    while (state == STREAM_OPEN) {
        assert_int_equal(sem_wait(&moves), 0);
        size += stream_read(stream, bytes + size, sizeof(bytes) - size, &state);
    }
    assert_int_equal(state, STREAM_DONE);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
}

static void wait_until_freed(void)
{
    while (atomic_load(&freed) == 0)
        assert_int_equal(sem_wait(&moves), 0);
}

static void test_what_has_no_room_waits_for_the_client(void **state)
{
    int pipe;
    struct stream *stream = add(&pipe);

    (void)state;
    put(pipe, "0123456789abcdefghij");
    (void)close(pipe);
    expect(stream, "0123456789abcdefghij");
    wait_until_freed();
    assert_int_equal(asked, 3);
    stream_unref(stream);
}

static void test_one_that_is_stuck_holds_up_no_other(void **state)
{
    int stuck_pipe;
    int pipe;
    struct stream *stuck = add(&stuck_pipe);
    struct stream *stream;

    (void)state;
    put(stuck_pipe, "0123456789");
    assert_int_equal(sem_wait(&moves), 0);
    stream = add(&pipe);
    put(pipe, "other");
    (void)close(pipe);
    expect(stream, "other");
    assert_int_equal(stream_room(stuck), 0);
    stream_unref(stream);
    stream_unref(stuck);
    (void)close(stuck_pipe);
}

static void test_a_client_that_leaves_frees_its_stream(void **state)
{
    int pipe;
    struct stream *stream = add(&pipe);
    char id[STREAM_ID_SIZE];

    (void)state;
    assert_int_equal(streams_offer(streams, stream, id, NULL), 0);
    assert_ptr_equal(streams_take(streams, id, state), stream);
    stream_abandon(stream);
    wait_until_freed();
    assert_int_equal(asked, 0);
    stream_unref(stream);
    (void)close(pipe);
}

static void test_a_stop_breaks_what_is_left(void **state)
{
    int pipe;
    struct stream *stream = add(&pipe);

    (void)state;
    mover_stop(TAKE_PTR(mover));
    assert_int_equal(stream_state(stream), STREAM_BROKEN);
    assert_int_equal(freed, 1);
    stream_unref(stream);
    (void)close(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_has_no_room_waits_for_the_client, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_one_that_is_stuck_holds_up_no_other, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_client_that_leaves_frees_its_stream, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_breaks_what_is_left, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
