#include "lib/agentproto/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *argv_in[] = {"a", "", "c d"};
static const char *env_in[] = {"A=1", "B="};

static const char *argv_out[AGENT_ARGS_MAX + 1];
static const char *env_out[AGENT_ARGS_MAX + 1];

static struct agent_exec_message exec_message(void)
{
    return (struct agent_exec_message){
        .flags = AGENT_EXEC_STDIN,
        .after = 2,
        .timeout_ms = 3,
        .grace_ms = 4,
        .max_output = UINT64_MAX,
        .command.cwd = "/w",
        .command.user = "u",
        .command.argc = 3,
        .command.envc = 2,
        .command.argv = argv_in,
        .command.env = env_in,
    };
}

static bool exec_round_trip(const struct agent_exec_message *message,
                            struct agent_exec_message *ret_message)
{
    static uint8_t data[4096];
    size_t size = agent_exec_encode(message, data, sizeof(data));

    assert_true(size > 0);
    assert_int_equal(size, agent_exec_size(message));
    ret_message->command.argv = argv_out;
    ret_message->command.env = env_out;
    return agent_exec_decode(data, size, ret_message);
}

static void test_exec_comes_back(void **state)
{
    const struct agent_exec_message message = exec_message();
    struct agent_exec_message decoded;

    (void)state;
    assert_true(exec_round_trip(&message, &decoded));
    assert_int_equal(decoded.flags, AGENT_EXEC_STDIN);
    assert_int_equal(decoded.after, 2);
    assert_int_equal(decoded.timeout_ms, 3);
    assert_int_equal(decoded.grace_ms, 4);
    assert_true(decoded.max_output == UINT64_MAX);
    assert_string_equal(decoded.command.cwd, "/w");
    assert_string_equal(decoded.command.user, "u");
    assert_int_equal(decoded.command.argc, 3);
    assert_string_equal(decoded.command.argv[2], "c d");
    assert_null(decoded.command.argv[3]);
    assert_int_equal(decoded.command.envc, 2);
    assert_string_equal(decoded.command.env[1], "B=");
    assert_null(decoded.command.env[2]);
}

static void test_exec_is_checked(void **state)
{
    static const char *no_name[] = {"=x"};
    static const char *no_equals[] = {"x"};
    static const char *no_program[] = {""};
    struct agent_exec_message bad[7];
    struct agent_exec_message decoded;

    (void)state;
    for (size_t i = 0; i < 7; i++)
        bad[i] = exec_message();
    bad[0].command.argc = 0;
    bad[1].command.cwd = "w";
    bad[2].command.cwd = "";
    bad[3].flags = 128;
    bad[4].command.env = no_name;
    bad[4].command.envc = 1;
    bad[5].command.env = no_equals;
    bad[5].command.envc = 1;
    bad[6].command.argv = no_program;
    bad[6].command.argc = 1;
    for (size_t i = 0; i < 7; i++)
        assert_false(exec_round_trip(&bad[i], &decoded));
}

static void test_every_cut_is_refused(void **state)
{
    const struct agent_exec_message message = exec_message();
    struct agent_exec_message decoded = {.command = {.argv = argv_out, .env = env_out}};
    uint8_t data[256];
    size_t size = agent_exec_encode(&message, data, sizeof(data));

    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        /* On the heap, so that a sanitizer sees a read behind the cut. */
        uint8_t *copy = malloc(cut + 1);

        memcpy(copy, data, cut);
        if (cut >= 4)
            memcpy(copy, &cut, 4);
        assert_false(agent_exec_decode(copy, cut, &decoded));
        free(copy);
    }
}

static void test_too_many_and_too_large(void **state)
{
    static const char *many[AGENT_ARGS_MAX + 1];
    static uint8_t data[64 * 1024];
    char *large = malloc(AGENT_STRING_MAX);
    struct agent_exec_message message = exec_message();
    struct agent_exec_message decoded = {.command = {.argv = argv_out, .env = env_out}};
    size_t size;

    (void)state;
    for (size_t i = 0; i <= AGENT_ARGS_MAX; i++)
        many[i] = "x";
    message.command.argv = many;
    message.command.argc = AGENT_ARGS_MAX;
    size = agent_exec_encode(&message, data, sizeof(data));
    assert_true(agent_exec_decode(data, size, &decoded));
    message.command.argc = AGENT_ARGS_MAX + 1;
    size = agent_exec_encode(&message, data, sizeof(data));
    assert_false(agent_exec_decode(data, size, &decoded));
    memset(large, 'x', AGENT_STRING_MAX - 1);
    large[AGENT_STRING_MAX - 1] = '\0';
    for (size_t i = 0; i < 16; i++)
        many[i] = large;
    message.command.argc = 16;
    assert_int_equal(agent_exec_size(&message), 0);
    assert_int_equal(agent_exec_encode(&message, data, sizeof(data)), 0);
    free(large);
}

static void test_write_and_read(void **state)
{
    const struct agent_write_message write = {.flags = 1, .mode = 0755, .owner = "o", .path = "/p"};
    const struct agent_read_message read = {.offset = 1, .limit = 2, .user = "u", .path = "/p"};
    struct agent_write_message bad = write;
    struct agent_write_message write_out;
    struct agent_read_message read_out;
    uint8_t data[128];
    size_t size = agent_write_encode(&write, data, sizeof(data));

    (void)state;
    assert_true(agent_write_decode(data, size, &write_out));
    assert_int_equal(write_out.mode, 0755);
    assert_string_equal(write_out.owner, "o");
    assert_string_equal(write_out.path, "/p");
    assert_false(agent_write_decode(data, size - 1, &write_out));
    bad.mode = 010000;
    size = agent_write_encode(&bad, data, sizeof(data));
    assert_false(agent_write_decode(data, size, &write_out));
    bad = write;
    bad.path = "p";
    size = agent_write_encode(&bad, data, sizeof(data));
    assert_false(agent_write_decode(data, size, &write_out));
    size = agent_read_encode(&read, data, sizeof(data));
    assert_true(agent_read_decode(data, size, &read_out));
    assert_int_equal(read_out.limit, 2);
    memset(data + 4, 0xff, 8); /* an offset that is negative as off_t */
    assert_false(agent_read_decode(data, size, &read_out));
}

static void test_a_write_with_a_condition(void **state)
{
    struct agent_write_message write = {
        .flags = AGENT_WRITE_DESCRIBE | AGENT_WRITE_MATCH,
        .owner = "o",
        .path = "/p",
        .size = UINT64_MAX,
        .inode = 7,
        .mtime_nsec = -1,
    };
    struct agent_write_message out;
    uint8_t data[128];
    size_t size = agent_write_encode(&write, data, sizeof(data));

    (void)state;
    assert_true(agent_write_decode(data, size, &out));
    assert_true(out.size == UINT64_MAX && out.inode == 7 && out.mtime_nsec == -1);
    assert_false(agent_write_decode(data, size - 1, &out));
    write.flags = AGENT_WRITE_ABSENT; /* describes no file */
    assert_false(
        agent_write_decode(data, agent_write_encode(&write, data, sizeof(data)) + 8, &out));
    assert_true(agent_write_decode(data, agent_write_encode(&write, data, sizeof(data)), &out));
    write.flags |= AGENT_WRITE_MATCH; /* nobody can be both */
    assert_false(agent_write_decode(data, agent_write_encode(&write, data, sizeof(data)), &out));
}

static bool file_decodes(const struct agent_file_message *message, const char *path,
                         const char *target)
{
    struct agent_file_message changed = *message;
    struct agent_file_message decoded;
    uint8_t data[128];

    changed.path = path;
    changed.target = target;
    return agent_file_decode(message->type, data, agent_file_encode(&changed, data, sizeof(data)),
                             &decoded);
}

static void test_file_requests_are_checked(void **state)
{
    const struct agent_file_message move = {
        .type = AGENT_FRAME_MOVE, .flags = AGENT_FILE_REPLACE, .user = "u"};
    struct agent_file_message list = {
        .type = AGENT_FRAME_FOLDER, .number = 1, .limit = 1, .user = "u"};
    struct agent_file_message other = move;

    (void)state;
    assert_true(file_decodes(&move, "/a", "/b"));
    assert_false(file_decodes(&move, "/a", ""));
    assert_false(file_decodes(&move, "a", "/b"));
    other.flags = AGENT_FILE_PARENTS;
    assert_false(file_decodes(&other, "/a", "/b"));
    other.type = AGENT_FRAME_PING;
    assert_false(file_decodes(&other, "/a", "/b"));
    assert_true(file_decodes(&list, "/a", ""));
    assert_false(file_decodes(&list, "/a", "/b"));
    list.flags = AGENT_FILE_SKIP;
    list.skip = UINT64_MAX;
    assert_true(file_decodes(&list, "/a", ""));
    other = move;
    other.flags = AGENT_FILE_SKIP;
    assert_false(file_decodes(&other, "/a", "/b"));
    list.flags = 0;
    list.limit = AGENT_LIST_MAX + 1;
    assert_false(file_decodes(&list, "/a", ""));
    list.limit = 0;
    assert_false(file_decodes(&list, "/a", ""));
    list.limit = 1;
    list.number = 0;
    assert_false(file_decodes(&list, "/a", ""));
}

static void test_entry_comes_back(void **state)
{
    struct agent_entry_message entry = {
        .type = AGENT_FILE_LINK,
        .mode = 0777,
        .uid = 1,
        .gid = 2,
        .size = 3,
        .inode = 4,
        .mtime_nsec = -5,
        .owner = "o",
        .group = "",
        .path = "a/b",
        .link = "c",
    };
    struct agent_entry_message decoded;
    uint8_t data[128];
    size_t size = agent_entry_encode(&entry, data, sizeof(data));

    (void)state;
    assert_true(agent_entry_decode(data, size, &decoded));
    assert_true(decoded.mtime_nsec == -5);
    assert_string_equal(decoded.path, "a/b");
    assert_string_equal(decoded.link, "c");
    assert_false(agent_entry_decode(data, size - 1, &decoded));
    entry.type = AGENT_FILE_DEVICE + 1;
    size = agent_entry_encode(&entry, data, sizeof(data));
    assert_false(agent_entry_decode(data, size, &decoded));
}

static bool exit_decodes(uint32_t status, uint32_t flags)
{
    const struct agent_exit_message message = {.status = status, .flags = flags};
    struct agent_exit_message decoded;
    uint8_t data[64];
    size_t size = agent_exit_encode(&message, data, sizeof(data));

    return agent_exit_decode(data, size, &decoded) && decoded.status == status;
}

static void test_exit_is_a_wait_status(void **state)
{
    (void)state;
    assert_true(exit_decodes(0, 0));
    assert_true(exit_decodes(255 << 8, AGENT_EXIT_TIMED_OUT));
    assert_true(exit_decodes(9, 0));
    assert_false(exit_decodes(0x137f, 0));  /* stopped */
    assert_false(exit_decodes(0xffff, 0));  /* continued */
    assert_false(exit_decodes(0x10000, 0)); /* nothing that wait(2) gives */
    assert_false(exit_decodes(0, 8));
}

static void test_error_names_a_stage_and_an_errno(void **state)
{
    struct agent_error_message message = {.stage = AGENT_STAGE_EXEC, .errnum = 2};
    struct agent_error_message decoded;
    uint8_t data[16];
    size_t size = agent_error_encode(&message, data, sizeof(data));

    (void)state;
    assert_true(agent_error_decode(data, size, &decoded));
    assert_int_equal(decoded.stage, AGENT_STAGE_EXEC);
    assert_int_equal(decoded.errnum, 2);
    message.errnum = 0;
    (void)agent_error_encode(&message, data, sizeof(data));
    assert_false(agent_error_decode(data, size, &decoded));
    message.errnum = 4096;
    (void)agent_error_encode(&message, data, sizeof(data));
    assert_false(agent_error_decode(data, size, &decoded));
    message = (struct agent_error_message){.stage = 99, .errnum = 1};
    (void)agent_error_encode(&message, data, sizeof(data));
    assert_false(agent_error_decode(data, size, &decoded));
}

static bool change_decodes(uint32_t kind, uint32_t flags, const char *path, const char *target)
{
    const struct agent_change_message message = {
        .kind = kind, .flags = flags, .path = path, .target = target};
    struct agent_change_message back;
    uint8_t data[AGENT_CHANGE_MAX];
    size_t size = agent_change_encode(&message, data, sizeof(data));

    return size > 0 && agent_change_decode(data, size, &back) && back.kind == kind &&
           back.flags == flags && strcmp(back.path, path) == 0 && strcmp(back.target, target) == 0;
}

static void test_a_change_has_a_target_only_when_it_is_a_move(void **state)
{
    (void)state;
    assert_true(change_decodes(AGENT_CHANGE_READY, AGENT_CHANGE_FOLDER, "", ""));
    assert_true(change_decodes(AGENT_CHANGE_MOVE, 0, "a", "b/c"));
    assert_true(change_decodes(AGENT_CHANGE_OVERFLOW, AGENT_CHANGE_FLAGS, "a", ""));
    assert_false(change_decodes(AGENT_CHANGE_MOVE, 0, "a", ""));
    assert_false(change_decodes(AGENT_CHANGE_CREATE, 0, "a", "b"));
    assert_false(change_decodes(0, 0, "a", ""));
    assert_false(change_decodes(AGENT_CHANGE_OVERFLOW + 1, 0, "a", ""));
    assert_false(change_decodes(AGENT_CHANGE_CREATE, AGENT_CHANGE_FLAGS + 1, "a", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exec_comes_back),
        cmocka_unit_test(test_exec_is_checked),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_too_many_and_too_large),
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_a_write_with_a_condition),
        cmocka_unit_test(test_file_requests_are_checked),
        cmocka_unit_test(test_entry_comes_back),
        cmocka_unit_test(test_exit_is_a_wait_status),
        cmocka_unit_test(test_error_names_a_stage_and_an_errno),
        cmocka_unit_test(test_a_change_has_a_target_only_when_it_is_a_move),
    };

    return cmocka_run_group_tests_name("agentproto: messages", tests, NULL, NULL);
}
