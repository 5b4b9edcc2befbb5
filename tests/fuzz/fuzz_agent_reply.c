/*
 * What a hostile agent may answer: the input is all that it says before it hangs up. The first byte
 * picks the call that is answered.
 */
#include "lib/base/util.h"
#include "lib/runtime/agent_archive.h"
#include "lib/runtime/agent_attach.h"
#include "lib/runtime/agent_files.h"
#include "lib/runtime/agent_search.h"
#include "lib/runtime/agent_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_OUTPUT = 256, MAX_ENTRIES = 4, INPUT_MAX = 64 * 1024, DEADLINE_USEC = 10 * 1000 * 1000 };

static void call_run(struct agent_client *client, int64_t deadline_usec)
{
    static const char *const argv[] = {"x", NULL};
    static const char *const env[] = {"A=b", NULL};
    struct sandbox_file file = {.path = "/f", .content = "abc", .size = 3};
    const struct sandbox_files files = {.items = &file, .count = 1};
    const struct agent_owner owner = {.user = "u"};
    const struct agent_exec_request request = {
        .argv = argv, .env = env, .cwd = "/", .user = "u", .max_output = MAX_OUTPUT};
    struct agent_exec_result result;
    struct error err;

    while (agent_client_run(client, &files, &owner, &request, deadline_usec, &result, &err) == 0) {
        if (result.out_size > MAX_OUTPUT || result.err_size > MAX_OUTPUT ||
            (!result.overdue && (result.exit_code < 0) != (result.signal > 0)))
            abort();
        agent_exec_result_free(&result);
    }
}

static void call_exec(struct agent_client *client, int64_t deadline_usec)
{
    static const char *const argv[] = {"x", NULL};
    static const char *const env[] = {NULL};
    const struct agent_exec_request request = {
        .argv = argv, .env = env, .cwd = "/", .user = "u", .max_output = MAX_OUTPUT};
    struct agent_exec_result result;
    struct error err;

    while (agent_client_exec(client, &request, deadline_usec, &result, &err) == 0) {
        if (result.out_size > MAX_OUTPUT || result.err_size > MAX_OUTPUT)
            abort();
        agent_exec_result_free(&result);
    }
}

static void call_disk(struct agent_client *client, int64_t deadline_usec)
{
    struct error err;
    uint64_t used;

    while (agent_files_disk(client, deadline_usec, &used, &err) == 0)
        ;
}

static const struct id process_id = {"0123456789abcdef"};

static void call_start(struct agent_client *client, int64_t deadline_usec)
{
    static const char *const argv[] = {"x", NULL};
    static const char *const env[] = {NULL};
    const struct agent_start_request request = {
        .id = process_id,
        .argv = argv,
        .env = env,
        .cwd = "/",
        .user = "u",
        .log_bytes = AGENT_LOG_BYTES_MIN,
        .log_lines = AGENT_LOG_LINES_MIN,
    };
    struct agent_process process;
    struct error err;

    while (agent_process_start(client, &request, deadline_usec, &process, &err) == 0) {
        if (!id_equal(&process.id, &process_id) || (process.exit_code < 0) != (process.signal > 0))
            abort();
    }
}

static void call_list(struct agent_client *client, int64_t deadline_usec)
{
    struct agent_process *processes;
    struct error err;
    size_t count;

    while (agent_process_list(client, deadline_usec, &processes, &count, &err) == 0) {
        if (count > AGENT_PROCESSES_MAX)
            abort();
        free(processes);
    }
}

static void call_wait(struct agent_client *client, int64_t deadline_usec)
{
    struct agent_process process;
    struct error err;

    while (agent_process_wait(client, &process_id, 0, deadline_usec, &process, &err) == 0) {
        if (process.log_begin > process.log_end)
            abort();
    }
}

static size_t touch_entries(struct agent_file_list *list)
{
    size_t length = 0;

    for (size_t i = 0; i < list->count; i++)
        length += strlen(list->items[i].path) + strlen(list->items[i].link) +
                  strlen(list->items[i].owner) + strlen(list->items[i].group);
    agent_file_list_free(list);
    return length;
}

static void call_files(struct agent_client *client, int64_t deadline_usec)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_FOLDER, .number = 1, .limit = MAX_ENTRIES, .user = "u", .path = "/"};
    struct agent_file_list list;
    struct error err;

    while (agent_files_list(client, &request, deadline_usec, &list, &err) == 0) {
        if (list.count > MAX_ENTRIES ||
            touch_entries(&list) > (size_t)MAX_ENTRIES * 4 * AGENT_PATH_MAX)
            abort();
    }
}

static void call_content(struct agent_client *client, int64_t deadline_usec)
{
    struct agent_file_list entry;
    struct error err;
    char *content;
    size_t size;

    while (agent_files_read(client, "u", "/f", 1, MAX_OUTPUT, deadline_usec, &entry, &content,
                            &size, &err) == 0) {
        if (entry.count != 1 || size > MAX_OUTPUT)
            abort();
        (void)touch_entries(&entry);
        free(content);
    }
}

enum { UPLOAD_SIZE = 100, WANTED = 10 };

static ssize_t give(void *context, void *buffer, size_t size, struct error *err)
{
    size_t *left = context;
    size_t given = size < *left ? size : *left;

    (void)err;
    memset(buffer, 'x', given);
    *left -= given;
    return (ssize_t)given;
}

static void call_upload(struct agent_client *client, int64_t deadline_usec)
{
    const struct agent_file_upload upload = {.user = "u", .path = "/f", .mode = 0644};
    size_t left = UPLOAD_SIZE;
    const struct agent_source source = {give, &left};
    struct agent_file_list entry;
    struct error err;

    (void)deadline_usec;
    while (agent_files_upload(client, &upload, &source, DEADLINE_USEC, &entry, &err) == 0) {
        if (entry.count != 1)
            abort();
        (void)touch_entries(&entry);
    }
}

static int want(void *context, const struct agent_file_entry *entry, uint64_t *ret_wanted,
                struct error *err)
{
    (void)context;
    (void)err;
    *ret_wanted = entry->size < WANTED ? entry->size : WANTED;
    return 0;
}

static int take(void *context, const void *data, size_t size, struct error *err)
{
    size_t *taken = context;

    (void)data;
    (void)err;
    *taken += size;
    if (*taken > WANTED)
        abort();
    return 0;
}

static void call_download(struct agent_client *client, int64_t deadline_usec)
{
    size_t taken = 0;
    const struct agent_sink sink = {want, take, &taken};
    struct error err;

    (void)deadline_usec;
    (void)agent_files_download(client, "u", "/f", 0, &sink, DEADLINE_USEC, &err);
}

static int take_any(void *context, const void *data, size_t size, struct error *err)
{
    size_t *taken = context;

    (void)data;
    (void)err;
    *taken += size;
    return 0;
}

static void call_pack(struct agent_client *client, int64_t deadline_usec)
{
    const struct agent_archive_place place = {.user = "u", .path = "/f"};
    size_t taken = 0;
    const struct agent_archive_sink sink = {take_any, &taken};
    struct error err;

    (void)deadline_usec;
    while (agent_archive_pack(client, &place, "zip", &sink, DEADLINE_USEC, &err) == 0)
        ;
}

static void call_unpack(struct agent_client *client, int64_t deadline_usec)
{
    const struct agent_archive_place place = {.user = "u", .path = "/f"};
    size_t left = UPLOAD_SIZE;
    const struct agent_source source = {give, &left};
    struct agent_archive_count count;
    struct error err;

    (void)deadline_usec;
    while (agent_archive_unpack(client, &place, &source, DEADLINE_USEC, &count, &err) == 0) {
        if (count.entries > INT64_MAX || count.bytes > INT64_MAX)
            abort();
    }
}

static void read_output(struct agent_attach *attach)
{
    uint64_t next = 0;
    struct agent_attach_event event;
    struct error err;

    while (agent_attach_receive(attach, &err) == 0) {
        int result;

        while ((result = agent_attach_next(attach, &event, &err)) > 0) {
            if (event.kind != AGENT_ATTACH_OUTPUT)
                continue;
            if (event.offset != next + event.gap || event.size == 0)
                abort();
            next = event.offset + event.size;
        }
        if (result < 0)
            return;
    }
}

/* Ends the client. */
static void call_attach(struct agent_client *client)
{
    const struct agent_attach_options options = {.follow = true};
    struct agent_attach *attach;
    struct error err;

    if (agent_attach_begin(client, &process_id, &options, &attach, &err) < 0)
        return;
    read_output(attach);
    agent_attach_free(attach);
}

static void read_changes(struct agent_watch *watch)
{
    struct agent_watch_event event;
    struct error err;
    int result;

    do {
        while ((result = agent_watch_next(watch, &event, &err)) > 0) {
            if (!event.is_end &&
                strlen(event.path) + strlen(event.target) > (size_t)2 * AGENT_PATH_MAX)
                abort();
        }
    } while (result == 0 && agent_watch_receive(watch, &err) == 0);
}

/* Ends the client. */
static void call_watch(struct agent_client *client)
{
    const struct agent_watch_request request = {.user = "u", .path = "/f", .recursive = true};
    struct agent_watch *watch;
    struct error err;

    if (agent_watch_begin(client, &request, monotonic_usec() + DEADLINE_USEC, &watch, &err) < 0)
        return;
    read_changes(watch);
    agent_watch_free(watch);
}

/* Ends the client. */
static void call_search(struct agent_client *client)
{
    const struct agent_search_request request = {.user = "u",
                                                 .path = "/f",
                                                 .content = "a+",
                                                 .regex = true,
                                                 .limit = MAX_ENTRIES,
                                                 .timeout_ms = 1};
    struct agent_matches matches;
    struct error err;

    while (agent_search(client, &request, monotonic_usec() + DEADLINE_USEC, &matches, &err) == 0) {
        if (matches.count > MAX_ENTRIES)
            abort();
        agent_matches_free(&matches);
    }
    agent_client_free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const streams[])(struct agent_client *) = {call_attach, call_watch, call_search};
    static void (*const calls[])(struct agent_client *, int64_t) = {
        call_run,   call_exec,    call_disk,   call_start,    call_list, call_wait,
        call_files, call_content, call_upload, call_download, call_pack, call_unpack};
    struct agent_client *client;
    struct error err;
    size_t choice;
    int fds[2];

    if (size == 0 || size > INPUT_MAX)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        agent_client_adopt(fds[1], &client, &err) < 0)
        abort();
    if (send(fds[0], data + 1, size - 1, MSG_NOSIGNAL) != (ssize_t)(size - 1))
        abort();
    if (shutdown(fds[0], SHUT_WR) < 0)
        abort();
    choice = data[0] % (ARRAY_SIZE(calls) + ARRAY_SIZE(streams));
    if (choice >= ARRAY_SIZE(calls)) {
        streams[choice - ARRAY_SIZE(calls)](client);
    } else {
        calls[choice](client, monotonic_usec() + DEADLINE_USEC);
        agent_client_free(client);
    }
    close(fds[0]);
    return 0;
}
