/* Files seen, made, moved, copied and removed through the real agent. */
#include "lib/base/util.h"
#include "lib/runtime/agent_files.h"
#include "tests/unit/agent/agent_fixture.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY "65534:65534"
#define ROOT   "0:0"

struct place {
    struct agent_client *client;
    struct error err;
    char folder[AGENT_FIXTURE_FOLDER_SIZE];
};

/* A path in the test's folder; the last four stay valid. */
static const char *in(const struct place *place, const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t next;
    char *path = paths[next++ % ARRAY_SIZE(paths)];

    (void)snprintf(path, PATH_MAX, "%s/%s", place->folder, name);
    return path;
}

static struct place begin(void **state)
{
    struct place place = {.client = agent_fixture_connect(agent_group(state))};

    agent_fixture_folder(agent_group(state), place.folder);
    return place;
}

static void end(struct place *place)
{
    agent_client_free(place->client);
}

static int change(struct place *place, const char *user, enum agent_frame_type type, uint32_t flags,
                  uint32_t number, const char *path, const char *target)
{
    const struct agent_file_request request = {
        .type = type,
        .flags = flags,
        .number = number,
        .user = user,
        .path = path,
        .target = target,
    };

    return agent_files_change(place->client, &request, agent_fixture_deadline(), &place->err);
}

static void assert_changed(struct place *place, int result)
{
    if (result < 0)
        fail_msg("%s", place->err.message);
}

static void assert_failed(struct place *place, int result, enum error_code code)
{
    assert_int_equal(result, -1);
    if (place->err.code != code)
        fail_msg("%s: %s", error_code_name(place->err.code), place->err.message);
}

static int list(struct place *place, enum agent_frame_type type, uint32_t flags, uint32_t depth,
                uint32_t limit, const char *path, struct agent_file_list *ret_list)
{
    const struct agent_file_request request = {
        .type = type,
        .flags = flags,
        .number = depth,
        .limit = limit,
        .user = NOBODY,
        .path = path,
    };

    return agent_files_list(place->client, &request, agent_fixture_deadline(), ret_list,
                            &place->err);
}

static void make_file(const char *path, const char *content, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void make_folder(const char *path, mode_t mode)
{
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void assert_no_temporary(const struct place *place)
{
    run("! find %s | grep -q '\\.atoll-'", place->folder);
}

static void test_stat_tells_what_is_there(void **state)
{
    struct place place = begin(state);
    struct agent_file_list found;
    struct stat status;

    make_file(in(&place, "file"), "12345", 04640);
    assert_int_equal(symlink("file", in(&place, "link")), 0);
    assert_changed(&place, list(&place, AGENT_FRAME_STAT, 0, 0, 0, in(&place, "file"), &found));
    assert_int_equal(stat(in(&place, "file"), &status), 0);
    assert_int_equal(found.items[0].type, AGENT_FILE_REGULAR);
    assert_int_equal(found.items[0].size, 5);
    assert_int_equal(found.items[0].mode, 04640);
    assert_int_equal(found.items[0].inode, status.st_ino);
    assert_true(found.items[0].mtime_nsec / 1000000000 == status.st_mtim.tv_sec);
    assert_string_equal(found.items[0].owner, "root");
    assert_string_equal(found.items[0].group, "root");
    agent_file_list_free(&found);
    assert_changed(&place, list(&place, AGENT_FRAME_STAT, 0, 0, 0, in(&place, "link"), &found));
    assert_int_equal(found.items[0].type, AGENT_FILE_LINK);
    assert_string_equal(found.items[0].link, "file");
    agent_file_list_free(&found);
    assert_changed(&place, list(&place, AGENT_FRAME_STAT, AGENT_FILE_FOLLOW, 0, 0,
                                in(&place, "link"), &found));
    assert_int_equal(found.items[0].type, AGENT_FILE_REGULAR);
    agent_file_list_free(&found);
    assert_failed(&place, list(&place, AGENT_FRAME_STAT, 0, 0, 0, in(&place, "none"), &found),
                  ERR_NOT_FOUND);
    assert_string_equal(place.err.field, "path");
    end(&place);
}

static void test_list_goes_so_deep_and_no_further(void **state)
{
    struct place place = begin(state);
    struct agent_file_list found;
    size_t links = 0;

    run("cd %s && mkdir -p a/b/c && touch a/x a/b/y a/b/c/z && ln -s /etc a/etc", place.folder);
    assert_changed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 1, 100, place.folder, &found));
    assert_int_equal(found.count, 1);
    assert_string_equal(found.items[0].path, "a");
    agent_file_list_free(&found);
    assert_changed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 3, 100, place.folder, &found));
    assert_int_equal(found.count, 6); /* a, a/x, a/etc, a/b, a/b/y, a/b/c: not behind the link */
    for (size_t i = 0; i < found.count; i++)
        links +=
            strcmp(found.items[i].path, "a/etc") == 0 && strcmp(found.items[i].link, "/etc") == 0;
    assert_int_equal(links, 1);
    agent_file_list_free(&found);
    assert_changed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 3, 2, place.folder, &found));
    assert_int_equal(found.count, 2);
    agent_file_list_free(&found);
    assert_failed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 1, 9, in(&place, "a/x"), &found),
                  ERR_CONFLICT);
    end(&place);
}

static void test_list_of_many_is_whole(void **state)
{
    struct place place = begin(state);
    struct agent_file_list found;

    run("cd %s && mkdir m && cd m && seq -f '%%05.0f-%0100d' 10000 | xargs touch", place.folder, 0);
    assert_changed(&place,
                   list(&place, AGENT_FRAME_FOLDER, 0, 2, AGENT_LIST_MAX, place.folder, &found));
    assert_int_equal(found.count, 10001);
    agent_file_list_free(&found);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0,
                                  in(&place, "m"), NULL));
    assert_int_equal(access(in(&place, "m"), F_OK), -1);
    end(&place);
}

static void test_mkdir(void **state)
{
    struct place place = begin(state);
    struct stat status;

    assert_changed(&place,
                   change(&place, NOBODY, AGENT_FRAME_MKDIR, 0, 01750, in(&place, "one/"), NULL));
    assert_int_equal(stat(in(&place, "one"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 01750);
    assert_int_equal(status.st_uid, 65534);
    assert_failed(&place,
                  change(&place, NOBODY, AGENT_FRAME_MKDIR, 0, 0755, in(&place, "one"), NULL),
                  ERR_CONFLICT);
    assert_failed(&place,
                  change(&place, NOBODY, AGENT_FRAME_MKDIR, 0, 0755, in(&place, "p/q"), NULL),
                  ERR_NOT_FOUND);
    for (int i = 0; i < 2; i++)
        assert_changed(&place, change(&place, NOBODY, AGENT_FRAME_MKDIR, AGENT_FILE_PARENTS, 0700,
                                      in(&place, "p/q/r"), NULL));
    assert_int_equal(stat(in(&place, "p/q"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
    assert_int_equal(stat(in(&place, "p/q/r"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    end(&place);
}

static void test_remove_follows_no_link(void **state)
{
    struct place place = begin(state);

    run("cd %s && mkdir -p keep t/a/b && touch keep/me t/a/f t/a/b/g && mkfifo t/pipe"
        " && ln -s ../keep t/link",
        place.folder);
    assert_failed(&place, change(&place, ROOT, AGENT_FRAME_REMOVE, 0, 0, in(&place, "t"), NULL),
                  ERR_CONFLICT);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0,
                                  in(&place, "t"), NULL));
    assert_int_equal(access(in(&place, "t"), F_OK), -1);
    assert_int_equal(access(in(&place, "keep/me"), F_OK), 0);
    assert_failed(
        &place,
        change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, in(&place, "t"), NULL),
        ERR_NOT_FOUND);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, "/", NULL),
                  ERR_NOT_POSSIBLE);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0,
                         in(&place, "keep/.."), NULL),
                  ERR_NOT_POSSIBLE);
    end(&place);
}

/* Far deeper than the agent has levels, and than a path can be long. */
static void test_remove_of_a_deep_tree(void **state)
{
    enum { DEPTH = 5000 };
    struct place place = begin(state);
    int fd = open(place.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < DEPTH; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "deep", 0777), 0);
        next = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0,
                                  in(&place, "deep"), NULL));
    assert_int_equal(access(in(&place, "deep"), F_OK), -1);
    assert_no_temporary(&place);
    end(&place);
}

/* A folder becomes a link to another and back, as fast as possible, while it is removed. */
static void test_remove_while_a_folder_turns_into_a_link(void **state)
{
    enum { ROUNDS = 200 };
    struct place place = begin(state);
    pid_t swapper;

    run("mkdir %1$s/keep && touch %1$s/keep/me", place.folder);
    swapper = fork();
    if (swapper == 0) {
        for (;;) {
            (void)mkdir(in(&place, "t/d"), 0777);
            (void)mkdir(in(&place, "t/d/e"), 0777);
            (void)rename(in(&place, "t/d"), in(&place, "t/away"));
            (void)!symlink("../keep", in(&place, "t/d"));
            (void)unlink(in(&place, "t/d"));
            (void)rename(in(&place, "t/away"), in(&place, "t/d"));
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        (void)mkdir(in(&place, "t"), 0777);
        (void)change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, in(&place, "t"),
                     NULL);
        assert_int_equal(access(in(&place, "keep/me"), F_OK), 0);
    }
    assert_int_equal(kill(swapper, SIGKILL), 0);
    assert_int_equal(waitpid(swapper, NULL, 0), swapper);
    end(&place);
}

static void test_rights_are_the_users(void **state)
{
    struct place place = begin(state);
    struct agent_file_list found;

    make_folder(in(&place, "shut"), 0700);
    make_file(in(&place, "shut/file"), "x", 0644);
    make_folder(in(&place, "open"), 0755);
    make_file(in(&place, "open/file"), "x", 0600);
    assert_failed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 1, 9, in(&place, "shut"), &found),
                  ERR_PERMISSION);
    assert_failed(&place, list(&place, AGENT_FRAME_STAT, 0, 0, 0, in(&place, "shut/file"), &found),
                  ERR_PERMISSION);
    assert_failed(&place,
                  change(&place, NOBODY, AGENT_FRAME_REMOVE, 0, 0, in(&place, "open/file"), NULL),
                  ERR_PERMISSION);
    assert_failed(&place,
                  change(&place, NOBODY, AGENT_FRAME_CHMOD, 0, 0777, in(&place, "open/file"), NULL),
                  ERR_PERMISSION);
    assert_failed(&place,
                  change(&place, NOBODY, AGENT_FRAME_MKDIR, 0, 0755, in(&place, "open/new"), NULL),
                  ERR_PERMISSION);
    assert_failed(
        &place,
        change(&place, NOBODY, AGENT_FRAME_MOVE, 0, 0, in(&place, "open/file"), in(&place, "mine")),
        ERR_PERMISSION);
    assert_failed(
        &place,
        change(&place, NOBODY, AGENT_FRAME_COPY, 0, 0, in(&place, "open/file"), in(&place, "mine")),
        ERR_PERMISSION);
    make_file(in(&place, "own"), "x", 0644);
    /* Not ERR_CONFLICT: what a shut folder has is not told. */
    assert_failed(
        &place,
        change(&place, NOBODY, AGENT_FRAME_COPY, 0, 0, in(&place, "own"), in(&place, "shut/file")),
        ERR_PERMISSION);
    assert_no_temporary(&place);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_COPY, 0, 0, in(&place, "open/file"),
                                  in(&place, "mine")));
    end(&place);
}

static void test_move(void **state)
{
    struct place place = begin(state);

    make_file(in(&place, "a"), "a", 0644);
    make_file(in(&place, "b"), "b", 0644);
    make_folder(in(&place, "full"), 0755);
    make_file(in(&place, "full/x"), "x", 0644);
    make_folder(in(&place, "other"), 0755);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_MOVE, 0, 0, in(&place, "a"), in(&place, "b")),
                  ERR_CONFLICT);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_MOVE, AGENT_FILE_REPLACE, 0,
                                  in(&place, "a"), in(&place, "b")));
    run("test \"$(cat %1$s/b)\" = a && test ! -e %1$s/a", place.folder);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_MOVE, AGENT_FILE_REPLACE, 0, in(&place, "other"),
                         in(&place, "full")),
                  ERR_CONFLICT);
    assert_failed(
        &place,
        change(&place, ROOT, AGENT_FRAME_MOVE, 0, 0, in(&place, "full"), in(&place, "full/in")),
        ERR_NOT_POSSIBLE);
    end(&place);
}

static void test_move_to_another_mount(void **state)
{
    struct place place = begin(state);
    char target[64];

    (void)snprintf(target, sizeof(target), "/dev/shm/atoll-move-%d", (int)getpid());
    run("mkdir -p %1$s/t/u && echo x > %1$s/t/u/f", place.folder);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_MOVE, 0, 0, in(&place, "t"), target));
    run("test \"$(cat %s/u/f)\" = x && test ! -e %s/t && rm -r %s", target, place.folder, target);
    end(&place);
}

static void test_copy(void **state)
{
    struct place place = begin(state);

    run("cd %s && mkdir -p s/d && echo x > s/f && head -c 5000000 /dev/urandom > s/d/large"
        " && chmod 751 s/d && chmod 640 s/f && ln -s ../f s/d/l && mkfifo s/p",
        place.folder);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_COPY, 0, 0, in(&place, "s"), in(&place, "c")),
                  ERR_CONFLICT);
    assert_changed(&place, change(&place, ROOT, AGENT_FRAME_COPY, AGENT_FILE_RECURSIVE, 0,
                                  in(&place, "s"), in(&place, "c")));
    run("cd %s && cmp s/d/large c/d/large && cmp s/f c/f && test \"$(readlink c/d/l)\" = ../f"
        " && test ! -e c/p && test $(stat -c %%a c/d) = 751 && test $(stat -c %%a c/f) = 640",
        place.folder);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_COPY, AGENT_FILE_RECURSIVE, 0, in(&place, "s"),
                         in(&place, "c")),
                  ERR_CONFLICT);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_COPY, AGENT_FILE_RECURSIVE, 0, in(&place, "s"),
                         in(&place, "s/d/again")),
                  ERR_NOT_POSSIBLE);
    assert_failed(&place,
                  change(&place, ROOT, AGENT_FRAME_COPY, 0, 0, in(&place, "s/p"), in(&place, "q")),
                  ERR_NOT_POSSIBLE);
    assert_no_temporary(&place);
    end(&place);
}

/* Asks for `path` to get to `target`, which fails because of the one that is the field. */
static void assert_at_fault(struct place *place, enum agent_frame_type type, uint32_t flags,
                            const char *path, const char *target, const char *field)
{
    assert_int_equal(change(place, NOBODY, type, flags, 0, in(place, path), in(place, target)), -1);
    if (strcmp(place->err.field, field) != 0)
        fail_msg("%s to %s: %s: %s", path, target, place->err.field, place->err.message);
}

static void test_the_path_or_the_target_is_at_fault(void **state)
{
    static const enum agent_frame_type types[] = {AGENT_FRAME_MOVE, AGENT_FRAME_COPY};
    const uint32_t replace = AGENT_FILE_REPLACE;
    struct place place = begin(state);

    run("cd %s && mkdir -p full/x shut && chmod 711 shut && touch a b shut/f"
        " && chown -R 65534 . && chown -R 0 shut",
        place.folder);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_at_fault(&place, types[i], 0, "none", "c", "path");
        assert_at_fault(&place, types[i], 0, "none/x", "c", "path");
        assert_at_fault(&place, types[i], 0, "full/..", "c", "path");
        assert_at_fault(&place, types[i], 0, "a", "b", "target");
        assert_at_fault(&place, types[i], 0, "a", "none/c", "target");
        assert_at_fault(&place, types[i], 0, "a", "b/c", "target");
        assert_at_fault(&place, types[i], 0, "a", "full/..", "target");
        assert_at_fault(&place, types[i], replace, "a", "full", "target");
    }
    assert_at_fault(&place, AGENT_FRAME_MOVE, 0, "full", "full/x/in", "target");
    assert_at_fault(&place, AGENT_FRAME_COPY, AGENT_FILE_RECURSIVE, "full", "full/x/in", "target");
    assert_at_fault(&place, AGENT_FRAME_COPY, 0, "full", "c", "path");
    assert_at_fault(&place, AGENT_FRAME_COPY, 0, "a", "shut/c", "target");
    assert_at_fault(&place, AGENT_FRAME_MOVE, 0, "shut/f", "c", "path");
    assert_no_temporary(&place);
    end(&place);
}

static void test_chmod(void **state)
{
    struct place place = begin(state);
    struct stat status;

    make_file(in(&place, "f"), "x", 0);
    assert_int_equal(chown(in(&place, "f"), 65534, 65534), 0);
    assert_changed(&place,
                   change(&place, NOBODY, AGENT_FRAME_CHMOD, 0, 0640, in(&place, "f"), NULL));
    assert_int_equal(stat(in(&place, "f"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_failed(&place, change(&place, NOBODY, AGENT_FRAME_CHMOD, 0, 0640, in(&place, "g"), NULL),
                  ERR_NOT_FOUND);
    end(&place);
}

/* The agent has descriptors of its own: its log folder lies outside of the sandbox's mounts. */
static void test_no_magic_link_is_followed(void **state)
{
    static const char *const paths[] = {"/proc/self/fd/4", "/proc/1/fd/4", "/proc/self/root",
                                        "/proc/thread-self/cwd"};
    struct place place = begin(state);
    struct agent_file_list found;
    char path[64];

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_failed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 1, 9, paths[i], &found),
                      ERR_NOT_POSSIBLE);
        (void)snprintf(path, sizeof(path), "%s/x", paths[i]);
        assert_failed(&place,
                      change(&place, ROOT, AGENT_FRAME_MKDIR, AGENT_FILE_PARENTS, 0755, path, NULL),
                      ERR_NOT_POSSIBLE);
        assert_failed(&place,
                      change(&place, ROOT, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, path, NULL),
                      ERR_NOT_POSSIBLE);
        assert_int_equal(symlink(paths[i], in(&place, "link")), 0);
        assert_failed(&place, list(&place, AGENT_FRAME_FOLDER, 0, 1, 9, in(&place, "link"), &found),
                      ERR_NOT_POSSIBLE);
        assert_int_equal(unlink(in(&place, "link")), 0);
    }
    end(&place);
}

static void test_read_tells_of_the_same_file(void **state)
{
    struct place place = begin(state);
    const struct agent_file_content content = {
        .user = NOBODY, .path = in(&place, "f"), .mode = 0604, .data = "0123456789", .size = 10};
    struct agent_file_list entry;
    _cleanup_free_ char *data = NULL;
    size_t size;

    assert_changed(&place,
                   agent_files_write(place.client, &content, agent_fixture_deadline(), &place.err));
    assert_changed(&place,
                   agent_files_read(place.client, NOBODY, content.path, 3, 4,
                                    agent_fixture_deadline(), &entry, &data, &size, &place.err));
    assert_int_equal(size, 4);
    assert_string_equal(data, "3456");
    assert_int_equal(entry.items[0].size, 10);
    assert_int_equal(entry.items[0].mode, 0604);
    agent_file_list_free(&entry);
    end(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat_tells_what_is_there),
        cmocka_unit_test(test_list_goes_so_deep_and_no_further),
        cmocka_unit_test(test_list_of_many_is_whole),
        cmocka_unit_test(test_mkdir),
        cmocka_unit_test(test_remove_follows_no_link),
        cmocka_unit_test(test_remove_of_a_deep_tree),
        cmocka_unit_test(test_remove_while_a_folder_turns_into_a_link),
        cmocka_unit_test(test_rights_are_the_users),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_move_to_another_mount),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_the_path_or_the_target_is_at_fault),
        cmocka_unit_test(test_chmod),
        cmocka_unit_test(test_no_magic_link_is_followed),
        cmocka_unit_test(test_read_tells_of_the_same_file),
    };

    return cmocka_run_group_tests_name("agent: file tasks", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
