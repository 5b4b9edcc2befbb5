/* Folders watched through the real agent: what is told, what is not, and that this is told. */
#include "lib/base/util.h"
#include "lib/runtime/agent_watch.h"
#include "tests/unit/agent/agent_fixture.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
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
    const struct agent_fixture *fixture;
    struct agent_watch *watch;
    struct error err;
    char folder[AGENT_FIXTURE_FOLDER_SIZE];
};

static const char *in(const struct place *place, const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];

    (void)snprintf(path, PATH_MAX, "%s/%s", place->folder, name);
    return path;
}

static void make_folder(const struct place *place, const char *name)
{
    assert_int_equal(mkdir(in(place, name), 0777), 0);
    assert_int_equal(chmod(in(place, name), 0777), 0);
}

static void make_file(const struct place *place, const char *name)
{
    int fd = open(in(place, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    close(fd);
}

static void rename_in(const struct place *place, const char *from, const char *to)
{
    assert_int_equal(rename(in(place, from), in(place, to)), 0);
}

static struct place begin(void **state)
{
    struct place place = {.fixture = agent_group(state)};

    agent_fixture_folder(place.fixture, place.folder);
    return place;
}

static int try_watch(struct place *place, const char *path, bool recursive)
{
    const struct agent_watch_request request = {
        .user = NOBODY, .path = path, .recursive = recursive};

    return agent_watch_begin(agent_fixture_connect(place->fixture), &request,
                             agent_fixture_deadline(), &place->watch, &place->err);
}

/* The next event; fails when none comes. */
static struct agent_watch_event next(struct place *place)
{
    struct agent_watch_event event;
    int found;

    while ((found = agent_watch_next(place->watch, &event, &place->err)) == 0) {
        struct pollfd poller = {.fd = agent_watch_fd(place->watch), .events = POLLIN};

        assert_int_equal(poll(&poller, 1, deadline_left_ms(agent_fixture_deadline())), 1);
        assert_int_equal(agent_watch_receive(place->watch, &place->err), 0);
    }
    if (found < 0)
        fail_msg("%s", place->err.message);
    return event;
}

static void watch(struct place *place, bool recursive)
{
    if (try_watch(place, place->folder, recursive) < 0)
        fail_msg("%s", place->err.message);
    assert_int_equal(next(place).kind, AGENT_CHANGE_READY);
}

static void end(struct place *place)
{
    agent_watch_free(place->watch);
}

static void assert_event(const struct agent_watch_event *event, enum agent_change_kind kind,
                         const char *path, const char *target)
{
    assert_false(event->is_end);
    if (event->kind != kind || strcmp(event->path, path) != 0 || strcmp(event->target, target) != 0)
        fail_msg("wanted %d '%s' '%s', got %d '%s' '%s'", (int)kind, path, target, (int)event->kind,
                 event->path, event->target);
}

static void expect_move(struct place *place, enum agent_change_kind kind, const char *path,
                        const char *target)
{
    struct agent_watch_event event = next(place);

    assert_event(&event, kind, path, target);
}

static void expect(struct place *place, enum agent_change_kind kind, const char *path)
{
    expect_move(place, kind, path, "");
}

/* Everything up to this file's creation was told before it. */
static void expect_nothing_before(struct place *place, const char *marker)
{
    make_file(place, marker);
    expect(place, AGENT_CHANGE_CREATE, marker);
}

static void test_changes_of_a_file_are_told(void **state)
{
    struct place place = begin(state);
    int fd;

    watch(&place, false);
    fd = open(in(&place, "file"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    assert_int_equal(chmod(in(&place, "file"), 0600), 0);
    rename_in(&place, "file", "moved");
    assert_int_equal(unlink(in(&place, "moved")), 0);
    expect(&place, AGENT_CHANGE_CREATE, "file");
    expect(&place, AGENT_CHANGE_MODIFY, "file");
    expect(&place, AGENT_CHANGE_ATTRIB, "file");
    expect_move(&place, AGENT_CHANGE_MOVE, "file", "moved");
    expect(&place, AGENT_CHANGE_DELETE, "moved");
    end(&place);
}

/* As WRITE, COPY and REMOVE do it. */
static void test_names_of_the_agents_own_are_not_told(void **state)
{
    struct place place = begin(state);

    watch(&place, true);
    make_file(&place, ".atoll-0000000000000001");
    rename_in(&place, ".atoll-0000000000000001", "written");
    make_folder(&place, ".atoll-0000000000000002");
    make_file(&place, ".atoll-0000000000000002/inside");
    rename_in(&place, ".atoll-0000000000000002", "copied");
    expect(&place, AGENT_CHANGE_CREATE, "written");
    expect(&place, AGENT_CHANGE_CREATE, "copied");
    expect(&place, AGENT_CHANGE_CREATE, "copied/inside");
    rename_in(&place, "copied", ".atoll-0000000000000003");
    assert_int_equal(unlink(in(&place, ".atoll-0000000000000003/inside")), 0);
    assert_int_equal(rmdir(in(&place, ".atoll-0000000000000003")), 0);
    expect(&place, AGENT_CHANGE_DELETE, "copied");
    expect_nothing_before(&place, "marker");
    end(&place);
}

static void test_what_is_below_is_told_only_when_asked_for(void **state)
{
    struct place place = begin(state);

    make_folder(&place, "a");
    make_folder(&place, "a/b");
    watch(&place, false);
    make_file(&place, "a/b/quiet");
    expect_nothing_before(&place, "marker");
    end(&place);
    watch(&place, true);
    make_file(&place, "a/b/told");
    expect(&place, AGENT_CHANGE_CREATE, "a/b/told");
    end(&place);
}

static void test_a_new_folder_is_watched_with_what_it_has(void **state)
{
    struct place place = begin(state);
    struct place away = begin(state);

    make_folder(&away, "new");
    make_folder(&away, "new/deep");
    make_file(&away, "new/deep/file");
    watch(&place, true);
    assert_int_equal(rename(in(&away, "new"), in(&place, "new")), 0);
    expect(&place, AGENT_CHANGE_CREATE, "new");
    expect(&place, AGENT_CHANGE_CREATE, "new/deep");
    expect(&place, AGENT_CHANGE_CREATE, "new/deep/file");
    make_file(&place, "new/deep/later");
    expect(&place, AGENT_CHANGE_CREATE, "new/deep/later");
    end(&place);
}

static void test_a_moved_folder_goes_on_under_its_new_name(void **state)
{
    struct place place = begin(state);

    make_folder(&place, "a");
    make_folder(&place, "a/deep");
    make_folder(&place, "b");
    watch(&place, true);
    rename_in(&place, "a", "b/c");
    make_file(&place, "b/c/deep/file");
    expect_move(&place, AGENT_CHANGE_MOVE, "a", "b/c");
    expect(&place, AGENT_CHANGE_CREATE, "b/c/deep/file");
    end(&place);
}

static void test_two_folders_that_change_places_keep_their_names(void **state)
{
    struct place place = begin(state);

    make_folder(&place, "a");
    make_folder(&place, "b");
    make_file(&place, "a/of_a");
    watch(&place, true);
    assert_int_equal(
        renameat2(AT_FDCWD, in(&place, "a"), AT_FDCWD, in(&place, "b"), RENAME_EXCHANGE), 0);
    expect_move(&place, AGENT_CHANGE_MOVE, "a", "b");
    expect_move(&place, AGENT_CHANGE_MOVE, "b", "a");
    assert_int_equal(unlink(in(&place, "b/of_a")), 0);
    expect(&place, AGENT_CHANGE_DELETE, "b/of_a");
    end(&place);
}

static void test_what_leaves_is_deleted_and_no_longer_watched(void **state)
{
    struct place place = begin(state);
    struct place away = begin(state);

    make_folder(&place, "a");
    watch(&place, true);
    assert_int_equal(rename(in(&place, "a"), in(&away, "a")), 0);
    expect(&place, AGENT_CHANGE_DELETE, "a");
    make_file(&away, "a/elsewhere");
    expect_nothing_before(&place, "marker");
    /* The name is free for another, whose events are not taken for the old one's. */
    make_folder(&place, "a");
    expect(&place, AGENT_CHANGE_CREATE, "a");
    end(&place);
}

static void test_a_name_that_is_used_again_is_deleted_before(void **state)
{
    struct place place = begin(state);
    struct place away = begin(state);

    make_file(&place, "file");
    watch(&place, true);
    assert_int_equal(rename(in(&place, "file"), in(&away, "file")), 0);
    make_file(&place, "file");
    expect(&place, AGENT_CHANGE_DELETE, "file");
    expect(&place, AGENT_CHANGE_CREATE, "file");
    end(&place);
}

static void test_it_ends_with_the_folder(void **state)
{
    struct place place = begin(state);

    watch(&place, true);
    assert_int_equal(rmdir(place.folder), 0);
    expect(&place, AGENT_CHANGE_DELETE, "");
    assert_true(next(&place).is_end);
    end(&place);
}

static void test_links_and_unreadable_folders_are_not_entered(void **state)
{
    struct place place = begin(state);
    struct place away = begin(state);

    make_folder(&place, "secret");
    assert_int_equal(chmod(in(&place, "secret"), 0700), 0);
    assert_int_equal(symlink(away.folder, in(&place, "link")), 0);
    watch(&place, true);
    make_file(&place, "secret/file");
    make_file(&away, "file");
    expect_nothing_before(&place, "marker");
    end(&place);
}

static void test_what_cannot_be_watched_is_refused(void **state)
{
    struct place place = begin(state);

    assert_int_equal(try_watch(&place, in(&place, "missing"), true), -1);
    assert_int_equal(place.err.code, ERR_NOT_FOUND);
    assert_string_equal(place.err.field, "path");
    make_file(&place, "file");
    assert_int_equal(try_watch(&place, in(&place, "file"), true), -1);
    assert_int_equal(place.err.code, ERR_CONFLICT);
    make_folder(&place, "secret");
    assert_int_equal(chmod(in(&place, "secret"), 0700), 0);
    assert_int_equal(try_watch(&place, in(&place, "secret"), true), -1);
    assert_int_equal(place.err.code, ERR_PERMISSION);
    assert_int_equal(try_watch(&place, "/proc/self/fd/4", false), -1);
    assert_int_equal(place.err.code, ERR_NOT_POSSIBLE);
    assert_int_equal(try_watch(&place, "relative", false), -1);
    assert_int_equal(place.err.code, ERR_INVALID_FIELD);
}

static void test_a_sandbox_has_so_many_watches(void **state)
{
    struct place place = begin(state);
    struct agent_watch *watches[AGENT_WATCHES_MAX];

    for (size_t i = 0; i < AGENT_WATCHES_MAX; i++) {
        watch(&place, false);
        watches[i] = place.watch;
    }
    assert_int_equal(try_watch(&place, place.folder, false), -1);
    assert_int_equal(place.err.code, ERR_TOO_MANY);
    for (size_t i = 0; i < AGENT_WATCHES_MAX; i++)
        agent_watch_free(watches[i]);
    while (try_watch(&place, place.folder, false) < 0) /* until the agent has seen them go */
        assert_int_equal(place.err.code, ERR_TOO_MANY);
    end(&place);
}

/* More events than are kept: by the kernel so many, as this host is set (inotify(7)), and some more
 * in the buffers. */
static unsigned more_than_are_kept(void)
{
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    unsigned count = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%u", &count), 1);
    fclose(file);
    return count + 50 * 1000;
}

static void test_a_reader_that_does_not_read_is_told_what_it_lost(void **state)
{
    struct place place = begin(state);
    unsigned files = more_than_are_kept(); /* each of which is made and removed */
    struct agent_watch_event event;
    char name[32];

    make_folder(&place, "storm");
    watch(&place, true);
    for (unsigned i = 0; i < files; i++) {
        (void)snprintf(name, sizeof(name), "storm/%u", i);
        make_file(&place, name);
        assert_int_equal(unlink(in(&place, name)), 0);
    }
    make_folder(&place, "during");
    do
        event = next(&place);
    while (event.kind != AGENT_CHANGE_OVERFLOW);
    assert_false(event.is_unwatched);
    /* From here on all is told again, also in a folder whose creation was not. */
    make_file(&place, "during/file");
    do
        event = next(&place);
    while (strcmp(event.path, "during/file") != 0);
    end(&place);
}

/* The state of a process: proc_pid_stat(5). */
static char state_of(pid_t pid)
{
    char path[64], text[64] = "";
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_non_null(strrchr(text, ')'));
    return strrchr(text, ')')[2];
}

/* What has left is given up after a while; with no room to tell it, that is not a thing to do. */
static void test_a_reader_that_does_not_read_keeps_nobody_busy(void **state)
{
    enum { FILES = 4000 };
    struct place place = begin(state);
    int64_t deadline = agent_fixture_deadline();
    unsigned asleep = 0;
    char names[2][256];

    make_folder(&place, "from");
    make_folder(&place, "to");
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(names[0], sizeof(names[0]), "from/%0200u", i);
        make_file(&place, names[0]);
    }
    assert_int_equal(try_watch(&place, in(&place, "from"), false), 0);
    assert_int_equal(next(&place).kind, AGENT_CHANGE_READY);
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(names[0], sizeof(names[0]), "from/%0200u", i);
        (void)snprintf(names[1], sizeof(names[1]), "to/%0200u", i);
        rename_in(&place, names[0], names[1]);
    }
    /* Asleep for some hundred looks in a row, it does not wake by itself. */
    while (asleep < 200) {
        asleep = state_of(place.fixture->agent) == 'S' ? asleep + 1 : 0;
        assert_true(monotonic_usec() < deadline);
        (void)usleep(1000);
    }
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_of_a_file_are_told),
        cmocka_unit_test(test_names_of_the_agents_own_are_not_told),
        cmocka_unit_test(test_what_is_below_is_told_only_when_asked_for),
        cmocka_unit_test(test_a_new_folder_is_watched_with_what_it_has),
        cmocka_unit_test(test_a_moved_folder_goes_on_under_its_new_name),
        cmocka_unit_test(test_two_folders_that_change_places_keep_their_names),
        cmocka_unit_test(test_what_leaves_is_deleted_and_no_longer_watched),
        cmocka_unit_test(test_a_name_that_is_used_again_is_deleted_before),
        cmocka_unit_test(test_it_ends_with_the_folder),
        cmocka_unit_test(test_links_and_unreadable_folders_are_not_entered),
        cmocka_unit_test(test_what_cannot_be_watched_is_refused),
        cmocka_unit_test(test_a_sandbox_has_so_many_watches),
        cmocka_unit_test(test_a_reader_that_does_not_read_is_told_what_it_lost),
        cmocka_unit_test(test_a_reader_that_does_not_read_keeps_nobody_busy),
    };

    return cmocka_run_group_tests(tests, agent_group_set_up, agent_group_tear_down);
}
