#include "cli/image_tree.h"
#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static char rootfs[] = "/tmp/atoll-tree-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *out;

    (void)snprintf(path, sizeof(path), "%s/%s", rootfs, name);
    out = fopen(path, "w");
    assert_non_null(out);
    (void)fputs(text, out);
    (void)fclose(out);
}

static char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", rootfs, name);
    return path;
}

/* A tree with a shell and a user database, as a tar file would give. */
static int make_tree(void **state)
{
    (void)state;
    (void)strcpy(rootfs, "/tmp/atoll-tree-XXXXXX");
    if (!mkdtemp(rootfs) || mkdir(path_of("bin"), 0755) < 0 || mkdir(path_of("etc"), 0755) < 0)
        return -1;
    write_file("bin/sh", "#!");
    write_file("etc/passwd", "root:x:0:0::/root:/bin/sh\nshort\n");
    write_file("etc/group", "root:x:0:\n");
    return 0;
}

static int remove_tree(void **state)
{
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", rootfs);
    return system(command);
}

static void need_root(void)
{
    if (geteuid() != 0)
        skip();
}

static void prepare(void)
{
    struct error err = {0};

    if (image_tree_prepare(rootfs, &err) < 0)
        fail_msg("%s", err.message);
}

static void expect_refused(const char *message)
{
    struct error err = {0};

    assert_int_equal(image_tree_prepare(rootfs, &err), -1);
    if (!strstr(err.message, message))
        fail_msg("the message is: %s", err.message);
}

static void expect_folder(const char *name, uid_t owner, mode_t mode)
{
    struct stat info;

    assert_int_equal(lstat(path_of(name), &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_int_equal(info.st_uid, owner);
    assert_int_equal(info.st_mode & 07777, mode);
}

static void read_text(const char *name, char text[static 256])
{
    FILE *in = fopen(path_of(name), "r");

    assert_non_null(in);
    text[fread(text, 1, 255, in)] = '\0';
    (void)fclose(in);
}

static void test_makes_folders(void **state)
{
    (void)state;
    need_root();
    prepare();
    expect_folder("dev", 0, 0755);
    expect_folder("proc", 0, 0555);
    expect_folder("sys", 0, 0555);
    expect_folder("tmp", 0, 01777);
    expect_folder("sandbox", 1000, 0755);
    expect_folder("home/user", 1000, 0755);
}

static void test_adds_the_user_once(void **state)
{
    char text[256];

    (void)state;
    need_root();
    prepare();
    prepare();
    read_text("etc/passwd", text);
    assert_string_equal(text, "root:x:0:0::/root:/bin/sh\nshort\n"
                              "user:x:1000:1000::/home/user:/bin/sh\n");
    read_text("etc/group", text);
    assert_string_equal(text, "root:x:0:\nuser:x:1000:\n");
}

static void test_leaves_another_user_of_the_uid(void **state)
{
    char text[256];

    (void)state;
    need_root();
    write_file("etc/passwd", "me:x:1000:1000::/home/me:/bin/sh");
    prepare();
    read_text("etc/passwd", text);
    assert_string_equal(text, "me:x:1000:1000::/home/me:/bin/sh");
}

static void test_ends_the_last_line_first(void **state)
{
    char text[256];

    (void)state;
    need_root();
    write_file("etc/passwd", "root:x:0:0::/root:/bin/sh");
    write_file("etc/group", "");
    prepare();
    read_text("etc/passwd", text);
    assert_string_equal(text, "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
    read_text("etc/group", text);
    assert_string_equal(text, "user:x:1000:\n");
}

static void test_waits_for_no_pipe(void **state)
{
    static const char *const names[] = {"etc/group", "etc/passwd"};

    (void)state;
    need_root();
    (void)alarm(10); /* the end of a test that hangs */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char message[64];

        (void)unlink(path_of(names[i]));
        assert_int_equal(mkfifo(path_of(names[i]), 0644), 0);
        (void)snprintf(message, sizeof(message), "/%s is not a file", names[i]);
        expect_refused(message);
    }
    (void)alarm(0);
}

/* A link in the tree leads to the tree's own file, never to the host's. */
static void test_follows_links_inside_only(void **state)
{
    char host[64];
    struct stat info;
    FILE *out;

    (void)state;
    need_root();
    (void)snprintf(host, sizeof(host), "%s.host", rootfs);
    out = fopen(host, "w");
    assert_non_null(out);
    (void)fclose(out);
    (void)unlink(path_of("etc/group"));
    assert_int_equal(symlink(host, path_of("etc/group")), 0);
    prepare();
    assert_int_equal(stat(host, &info), 0);
    assert_int_equal(info.st_size, 0);
    (void)unlink(host);
}

static void test_refuses_links_where_mounts_go(void **state)
{
    static const char *const names[] = {"dev", "proc", "sys", "tmp", "sandbox"};

    (void)state;
    need_root();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char message[64];

        (void)rmdir(path_of(names[i]));
        assert_int_equal(symlink("/tmp", path_of(names[i])), 0);
        (void)snprintf(message, sizeof(message), "/%s is not a folder", names[i]);
        expect_refused(message);
        (void)unlink(path_of(names[i]));
    }
}

static void test_needs_a_shell(void **state)
{
    (void)state;
    need_root();
    (void)unlink(path_of("bin/sh"));
    expect_refused("no /bin/sh");
    /* A shell of the host does not count. */
    assert_int_equal(symlink("../../../../../../bin/sh", path_of("bin/sh")), 0);
    expect_refused("no /bin/sh");
}

static void test_removes_devices(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(mkdir(path_of("dev"), 0755), 0);
    write_file("dev/file", "");
    assert_int_equal(mknod(path_of("bin/mem"), S_IFCHR | 0666, makedev(1, 1)), 0);
    prepare();
    assert_int_equal(access(path_of("dev/file"), F_OK), -1);
    assert_int_equal(access(path_of("bin/mem"), F_OK), -1);
    assert_int_equal(access(path_of("bin/sh"), F_OK), 0);
}

static void test_size(void **state)
{
    struct error err;
    int64_t before;
    int64_t after;

    (void)state;
    assert_int_equal(image_tree_size(rootfs, &before, &err), 0);
    write_file("bin/more", "12345");
    assert_int_equal(image_tree_size(rootfs, &after, &err), 0);
    assert_int_equal(after - before, 5);
}

int main(void)
{
#define TREE_TEST(test) cmocka_unit_test_setup_teardown(test, make_tree, remove_tree)
    const struct CMUnitTest tests[] = {
        TREE_TEST(test_makes_folders),
        TREE_TEST(test_adds_the_user_once),
        TREE_TEST(test_leaves_another_user_of_the_uid),
        TREE_TEST(test_ends_the_last_line_first),
        TREE_TEST(test_waits_for_no_pipe),
        TREE_TEST(test_follows_links_inside_only),
        TREE_TEST(test_refuses_links_where_mounts_go),
        TREE_TEST(test_needs_a_shell),
        TREE_TEST(test_removes_devices),
        TREE_TEST(test_size),
    };

    return cmocka_run_group_tests_name("image_tree", tests, NULL, NULL);
}
