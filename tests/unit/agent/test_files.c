/* Files through the real agent. */
#include "lib/runtime/agent_archive.h"
#include "lib/runtime/agent_files.h"
#include "tests/unit/agent/agent_fixture.h"
#include "tests/unit/support/agent_calls.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY "65534:65534"

struct transfer {
    struct agent_client *client;
    struct agent_owner owner;
    struct error err;
    char path[PATH_MAX];
};

static struct transfer begin(void **state, const char *name)
{
    struct transfer transfer = {.owner = {.user = NOBODY}};

    transfer.client = agent_fixture_connect(agent_group(state));
    (void)snprintf(transfer.path, sizeof(transfer.path), "%s/%s", agent_group(state)->folder, name);
    return transfer;
}

static void end(struct transfer *transfer)
{
    agent_client_free(transfer->client);
}

static int put(struct transfer *transfer, const char *content, size_t size)
{
    struct sandbox_file file = {
        .path = transfer->path, .content = (char *)(uintptr_t)content, .size = size};
    const struct sandbox_files files = {.items = &file, .count = 1};

    return agent_call_write(transfer->client, &files, &transfer->owner, agent_fixture_deadline(),
                            &transfer->err);
}

static void assert_content(struct transfer *transfer, const char *content, size_t size)
{
    _cleanup_free_ char *data = NULL;
    size_t got = 0;

    if (agent_call_read(transfer->client, transfer->path, transfer->owner.user, 64 << 20,
                        agent_fixture_deadline(), &data, &got, &transfer->err) < 0)
        fail_msg("%s", transfer->err.message);
    assert_int_equal(got, size);
    assert_memory_equal(data, content, size);
}

static int get(struct transfer *transfer, size_t max)
{
    _cleanup_free_ char *data = NULL;
    size_t size;

    return agent_call_read(transfer->client, transfer->path, transfer->owner.user, max,
                           agent_fixture_deadline(), &data, &size, &transfer->err);
}

/* Nothing but the named entries is in the folder, so no temporary file was left. */
static void assert_no_temporary(void **state)
{
    char command[256];

    (void)snprintf(command, sizeof(command), "! ls -A %s | grep -q '^\\.atoll-'",
                   agent_group(state)->folder);
    assert_int_equal(system(command), 0);
}

static void test_bytes_come_back_identical(void **state)
{
    static const char *const contents[] = {"", "plain\n", "$(id) `id` \"'\\ ${HOME}", "\r\n\t\x7f"};
    static const char binary[] = "a\0b\377\0";
    struct transfer transfer = begin(state, "deep/er/content \"$(x)\"\n'");

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        assert_int_equal(put(&transfer, contents[i], strlen(contents[i])), 0);
        assert_content(&transfer, contents[i], strlen(contents[i]));
    }
    assert_int_equal(put(&transfer, binary, sizeof(binary)), 0);
    assert_content(&transfer, binary, sizeof(binary));
    end(&transfer);
}

static void test_large_file(void **state)
{
    const size_t size = (9 << 20) + 17;
    _cleanup_free_ char *data = malloc(size);
    struct transfer transfer = begin(state, "large");

    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + i / 4093);
    assert_int_equal(put(&transfer, data, size), 0);
    assert_content(&transfer, data, size);
    assert_int_equal(get(&transfer, size - 1), -1);
    assert_int_equal(transfer.err.code, ERR_TOO_LARGE);
    end(&transfer);
}

static void test_owner_and_mode(void **state)
{
    struct transfer transfer = begin(state, "own/script");
    struct sandbox_file file = {
        .path = transfer.path, .content = "x", .size = 1, .executable = true};
    const struct sandbox_files files = {.items = &file, .count = 1};
    struct stat status;
    char folder[128];

    assert_int_equal(agent_call_write(transfer.client, &files, &transfer.owner,
                                      agent_fixture_deadline(), &transfer.err),
                     0);
    assert_int_equal(stat(transfer.path, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_gid, 65534);
    assert_int_equal(status.st_mode & 07777, 0755);
    (void)snprintf(folder, sizeof(folder), "%s/own", agent_group(state)->folder);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_mode & 07777, 0755);
    end(&transfer);
}

static void test_rights_are_the_owners(void **state)
{
    struct transfer transfer = begin(state, "root-only/new/file");
    struct stat status;
    char folder[128];

    (void)snprintf(folder, sizeof(folder), "%s/root-only", agent_group(state)->folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(put(&transfer, "x", 1), -1);
    assert_int_equal(transfer.err.code, ERR_INVALID_FIELD);
    assert_non_null(strstr(transfer.err.message, "Permission denied"));
    transfer.owner.privileged = true;
    assert_int_equal(put(&transfer, "x", 1), 0);
    assert_int_equal(stat(transfer.path, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(get(&transfer, 10), -1);
    assert_non_null(strstr(transfer.err.message, "Permission denied"));
    transfer.owner.user = "root";
    assert_content(&transfer, "x", 1);
    end(&transfer);
}

static void test_replaces_what_is_there(void **state)
{
    struct transfer transfer = begin(state, "target");
    struct stat status;
    char other[128];

    transfer.owner.user = "0:0";
    assert_int_equal(mkfifo(transfer.path, 0666), 0);
    assert_int_equal(put(&transfer, "new", 3), 0);
    assert_int_equal(lstat(transfer.path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(unlink(transfer.path), 0);
    /* A symbolic link is replaced, what it points to is not touched. */
    (void)snprintf(other, sizeof(other), "%s/other", agent_group(state)->folder);
    assert_int_equal(symlink(other, transfer.path), 0);
    assert_int_equal(put(&transfer, "new", 3), 0);
    assert_int_equal(lstat(transfer.path, &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(access(other, F_OK), -1);
    end(&transfer);
}

static void assert_refused(void **state, const char *path, const char *reason)
{
    struct transfer transfer = begin(state, "");

    strcpy(transfer.path, path);
    transfer.owner.user = "0:0";
    assert_int_equal(put(&transfer, "x", 1), -1);
    if (!strstr(transfer.err.message, reason))
        fail_msg("%s: %s", path, transfer.err.message);
    end(&transfer);
}

static void test_refused_targets(void **state)
{
    char path[PATH_MAX + 16];
    char folder[128];

    (void)snprintf(folder, sizeof(folder), "%s/folder", agent_group(state)->folder);
    assert_int_equal(mkdir(folder, 0777), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_refused(state, folder, "Is a directory");
    (void)snprintf(path, sizeof(path), "%s/folder/", agent_group(state)->folder);
    assert_refused(state, path, "Is a directory");
    (void)snprintf(path, sizeof(path), "%s/folder/..", agent_group(state)->folder);
    assert_refused(state, path, "Is a directory");
    (void)snprintf(path, sizeof(path), "%s/%0300d", agent_group(state)->folder, 1);
    assert_refused(state, path, "File name too long");
    assert_refused(state, "relative", "absolute");
    assert_refused(state, "/proc/self/comm/x", "Not a directory");
    assert_refused(state, "/dev/null/x", "Not a directory");
    assert_no_temporary(state);
}

/* On a disk of its own, which must be there before the agent gets its copy of the mounts. */
static void test_full_disk(void **state)
{
    const size_t size = 2 << 20;
    _cleanup_free_ char *data = calloc(1, size);
    char folder[] = "/tmp/atoll-disk.XXXXXX";
    struct agent_fixture full;
    struct transfer transfer = {.owner = {.user = NOBODY}};
    char command[256];

    (void)agent_group(state); /* skips */
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mount("tmpfs", folder, "tmpfs", 0, "size=1m,mode=0777"), 0);
    assert_true(agent_fixture_start(&full, "strict"));
    transfer.client = agent_fixture_connect(&full);
    (void)snprintf(transfer.path, sizeof(transfer.path), "%s/file", folder);
    (void)snprintf(command, sizeof(command), "test -z \"$(ls -A %s)\"", folder);
    assert_int_equal(put(&transfer, data, size), -1);
    assert_int_equal(transfer.err.code, ERR_INSUFFICIENT_STORAGE);
    assert_int_equal(system(command), 0);
    assert_int_equal(put(&transfer, "x", 1), 0);
    end(&transfer);
    agent_fixture_stop(&full);
    assert_int_equal(umount(folder), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_reads_only_regular_files(void **state)
{
    struct transfer transfer = begin(state, "pipe");

    transfer.owner.user = "0:0";
    assert_int_equal(mkfifo(transfer.path, 0666), 0);
    assert_int_equal(get(&transfer, 10), -1);
    assert_non_null(strstr(transfer.err.message, "Invalid argument"));
    strcpy(transfer.path, agent_group(state)->folder);
    assert_int_equal(get(&transfer, 10), -1);
    assert_non_null(strstr(transfer.err.message, "Is a directory"));
    strcpy(transfer.path, "/dev/zero");
    assert_int_equal(get(&transfer, 10), -1);
    strcpy(transfer.path, "/no/such/file");
    assert_int_equal(get(&transfer, 10), -1);
    assert_int_equal(transfer.err.code, ERR_NOT_FOUND);
    strcpy(transfer.path, "/proc/self/mem");
    assert_int_equal(get(&transfer, 10), -1);
    strcpy(transfer.path, "/proc/self/status");
    assert_int_equal(get(&transfer, 65536), 0);
    end(&transfer);
}

static void test_files_and_command_in_one_message(void **state)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    const char *argv[] = {"sh", "main.sh", NULL};
    struct transfer transfer = begin(state, "job/main.sh");
    char second[128];
    char cwd[128];
    struct sandbox_file items[] = {
        {.path = transfer.path, .content = "cat data", .size = 8},
        {.path = second, .content = "bytes", .size = 5},
    };
    const struct sandbox_files files = {.items = items, .count = 2};
    const struct agent_exec_request request = {
        .argv = argv, .env = env, .cwd = cwd, .user = NOBODY, .max_output = 100};
    struct agent_exec_result result;

    (void)snprintf(cwd, sizeof(cwd), "%s/job", agent_group(state)->folder);
    (void)snprintf(second, sizeof(second), "%s/job/data", agent_group(state)->folder);
    if (agent_client_run(transfer.client, &files, &transfer.owner, &request,
                         agent_fixture_deadline(), &result, &transfer.err) < 0)
        fail_msg("%s", transfer.err.message);
    assert_string_equal(result.out, "bytes");
    agent_exec_result_free(&result);
    /* The command must not run when a file could not be written; the connection goes on. */
    argv[0] = "touch";
    argv[1] = "ran";
    items[1].path = cwd;
    assert_int_equal(agent_client_run(transfer.client, &files, &transfer.owner, &request,
                                      agent_fixture_deadline(), &result, &transfer.err),
                     -1);
    assert_non_null(strstr(transfer.err.message, "cannot write"));
    assert_non_null(strstr(transfer.err.message, "Is a directory"));
    (void)snprintf(second, sizeof(second), "%s/job/ran", agent_group(state)->folder);
    assert_int_equal(access(second, F_OK), -1);
    items[1].path = second;
    assert_int_equal(agent_client_run(transfer.client, &files, &transfer.owner, &request,
                                      agent_fixture_deadline(), &result, &transfer.err),
                     0);
    agent_exec_result_free(&result);
    end(&transfer);
}

static ssize_t give_text(void *context, void *buffer, size_t size, struct error *err)
{
    const char **text = context;
    size_t given = strnlen(*text, size);

    (void)err;
    memcpy(buffer, *text, given);
    *text += given;
    return (ssize_t)given;
}

/* Puts a text, and tells what the written file is. */
static int upload(struct transfer *transfer, struct agent_file_upload *request, const char *text,
                  struct agent_file_entry *ret_entry)
{
    const struct agent_source source = {give_text, &text};
    struct agent_file_list written = {0};

    request->user = NOBODY;
    request->path = transfer->path;
    request->mode = 0640;
    if (agent_files_upload(transfer->client, request, &source, 20 * 1000 * 1000, &written,
                           &transfer->err) < 0)
        return -1;
    assert_int_equal(written.count, 1);
    *ret_entry = written.items[0]; /* its strings go */
    agent_file_list_free(&written);
    return 0;
}

static void test_a_file_is_put_only_instead_of_what_was_seen(void **state)
{
    struct transfer transfer = begin(state, "conditional");
    struct agent_file_upload request = {.condition = AGENT_UPLOAD_ABSENT};
    struct agent_file_entry first, second;

    assert_int_equal(upload(&transfer, &request, "one", &first), 0);
    assert_int_equal(first.size, 3);
    assert_int_equal(first.mode, 0640);
    assert_int_equal(upload(&transfer, &request, "two", &second), -1);
    assert_int_equal(transfer.err.code, ERR_PRECONDITION);
    assert_content(&transfer, "one", 3);
    request.condition = AGENT_UPLOAD_MATCH;
    request.seen = first;
    assert_int_equal(upload(&transfer, &request, "three", &second), 0);
    assert_int_equal(upload(&transfer, &request, "four", &second), -1);
    assert_int_equal(transfer.err.code, ERR_PRECONDITION);
    assert_content(&transfer, "three", 5);
    assert_int_equal(unlink(transfer.path), 0);
    assert_int_equal(upload(&transfer, &request, "five", &second), -1);
    assert_int_equal(transfer.err.code, ERR_PRECONDITION);
    assert_int_equal(access(transfer.path, F_OK), -1);
    end(&transfer);
}

static void test_a_file_that_is_replaced_can_keep_its_mode(void **state)
{
    struct transfer transfer = begin(state, "kept");
    struct agent_file_upload request = {.keeps_mode = true};
    struct agent_file_entry entry;

    assert_int_equal(upload(&transfer, &request, "new", &entry), 0);
    assert_int_equal(entry.mode, 0640);
    assert_int_equal(chmod(transfer.path, 06711), 0);
    assert_int_equal(upload(&transfer, &request, "other", &entry), 0);
    assert_int_equal(entry.mode, 0711); /* other content does not run with its owner's rights */
    assert_content(&transfer, "other", 5);
    request.keeps_mode = false;
    assert_int_equal(upload(&transfer, &request, "third", &entry), 0);
    assert_int_equal(entry.mode, 0640);
    request.keeps_mode = true;
    assert_int_equal(unlink(transfer.path), 0);
    assert_int_equal(symlink("/etc", transfer.path), 0); /* a link's mode is nobody's */
    assert_int_equal(lchown(transfer.path, 65534, 65534), 0);
    assert_int_equal(upload(&transfer, &request, "file", &entry), 0);
    assert_int_equal(entry.mode, 0640);
    end(&transfer);
}

static void test_without_an_archive_program_there_are_no_archives(void **state)
{
    struct transfer transfer = begin(state, "");
    const struct agent_archive_place place = {.user = NOBODY, .path = "/"};
    const struct agent_archive_sink sink = {NULL, NULL};

    assert_int_equal(
        agent_archive_pack(transfer.client, &place, "zip", &sink, 20 * 1000 * 1000, &transfer.err),
        -1);
    assert_int_equal(transfer.err.code, ERR_NOT_POSSIBLE);
    assert_non_null(strstr(transfer.err.message, "archive program"));
    assert_int_equal(agent_call_ping(transfer.client, agent_fixture_deadline(), &transfer.err), 0);
    end(&transfer);
}

static void test_dev_profile_keeps_a_short_list(void **state)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    const char *const argv[] = {"grep", "-E", "^(Cap|NoNew)", "/proc/self/status", NULL};
    struct agent_exec_request request = {
        .argv = argv, .env = env, .cwd = "/", .user = "0:0", .max_output = 4096};
    struct agent_fixture dev;
    struct agent_exec_result result;
    struct agent_client *client;
    struct error err = {0};

    (void)state;
    if (!agent_fixture_start(&dev, "dev"))
        skip();
    client = agent_fixture_connect(&dev);
    assert_int_equal(agent_client_exec(client, &request, agent_fixture_deadline(), &result, &err),
                     0);
    /* 0 1 3 4 5 6 7 10 18 29: chown to setuid, net_bind_service, sys_chroot, audit_write */
    assert_string_equal(result.out, "CapInh:\t0000000000000000\nCapPrm:\t00000000200404fb\n"
                                    "CapEff:\t00000000200404fb\nCapBnd:\t00000000200404fb\n"
                                    "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\n");
    agent_exec_result_free(&result);
    request.user = NOBODY;
    assert_int_equal(agent_client_exec(client, &request, agent_fixture_deadline(), &result, &err),
                     0);
    assert_non_null(strstr(result.out, "CapEff:\t0000000000000000\n"));
    agent_exec_result_free(&result);
    agent_client_free(client);
    agent_fixture_stop(&dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_back_identical),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_owner_and_mode),
        cmocka_unit_test(test_rights_are_the_owners),
        cmocka_unit_test(test_replaces_what_is_there),
        cmocka_unit_test(test_refused_targets),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_reads_only_regular_files),
        cmocka_unit_test(test_files_and_command_in_one_message),
        cmocka_unit_test(test_a_file_is_put_only_instead_of_what_was_seen),
        cmocka_unit_test(test_a_file_that_is_replaced_can_keep_its_mode),
        cmocka_unit_test(test_without_an_archive_program_there_are_no_archives),
        cmocka_unit_test(test_dev_profile_keeps_a_short_list),
    };

    return cmocka_run_group_tests_name("agent: files", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
