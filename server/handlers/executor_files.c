/*
 * Files of the executor dialect. What is wrong with a file is told with status 200, in the words
 * that clients look for: "open P: no such file or directory".
 */
#include "lib/base/util.h"
#include "server/handlers/executor.h"
#include "server/handlers/executor_answer.h"
#include "server/handlers/executor_events.h"
#include "server/handlers/executor_request.h"
#include "server/services/files.h"
#include "server/services/text.h"

#include <ctype.h>
#include <string.h>

enum {
    FILE_MODE = 0644,
    FOLDER_MODE = 0755,
    READ_FIRST = 256 << 10,
    READ_MAX = 64 << 20,
    ENTRIES_MAX = AGENT_LIST_MAX - 1, /* one more tells that there are more */
};

/* What a request is about. */
struct target {
    const char *given; /* the path as it came; it belongs to the body */
    char path[FILES_PATH_SIZE];
    cJSON *body;
};

static void target_done(struct target *target)
{
    cJSON_Delete(target->body);
}

/* True for what is wrong with the file; anything else is the sandbox's or the server's. */
static bool is_of_file(const struct error *error)
{
    return strcmp(error->field, "path") == 0;
}

static int take_target(struct call *call, struct target *target, struct error *err)
{
    if (executor_body(call, &target->body, err) < 0 ||
        executor_text(target->body, "path", &target->given, err) < 0)
        return -1;
    if (target->given[0] == '\0')
        return error_set_field(err, ERR_NOT_FOUND, "path", "No such file or directory");
    if (files_resolve("path", target->given, target->path, err) < 0)
        return error_set_field(err, ERR_NOT_POSSIBLE, "path", "File name too long");
    return 0;
}

/* "open /tmp/x: no such file or directory"; NULL without memory. */
static char *complaint(const char *verb, const struct target *target, const struct error *why)
{
    char *text;

    if (asprintf(&text, "%s %s: %c%s", verb, target->given ? target->given : "",
                 tolower((unsigned char)why->message[0]), why->message + 1) < 0)
        return NULL;
    return text;
}

/* Answers what is wrong with the file; passes on what is wrong with anything else. */
static int respond_failure(struct call *call, const char *verb, const struct target *target,
                           bool has_success, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    cJSON *body;

    if (!is_of_file(err))
        return executor_explain(err);
    text = complaint(verb, target, err);
    if (!text)
        return error_no_memory(err);
    body = cJSON_CreateObject();
    if (has_success)
        (void)cJSON_AddBoolToObject(body, "success", false);
    (void)cJSON_AddStringToObject(body, "error", text);
    return call_respond_json(call, 200, body, err);
}

static int respond_success(struct call *call)
{
    static const char body[] = "{\"success\":true}\n";

    http_respond_bytes(call->request, 200, "application/json", body, sizeof(body) - 1);
    return 0;
}

/* --- changes */

static int change(struct call *call, enum agent_frame_type type, uint32_t flags, uint32_t mode,
                  struct target *target, struct error *err)
{
    struct agent_file_request request = {
        .type = type, .flags = flags, .number = mode, .user = SANDBOX_USER, .path = target->path};

    if (take_target(call, target, err) < 0)
        return -1;
    return files_change(call->services, &call->caller, &call->id, &request, err);
}

int handle_executor_delete_file(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};

    if (change(call, AGENT_FRAME_REMOVE, 0, 0, &target, err) == 0)
        return respond_success(call);
    return respond_failure(call, "remove", &target, true, err);
}

int handle_executor_delete_dir(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};

    if (change(call, AGENT_FRAME_REMOVE, AGENT_FILE_RECURSIVE, 0, &target, err) == 0)
        return respond_success(call);
    if (is_of_file(err) && err->code == ERR_NOT_FOUND) /* it is gone, as was asked for */
        return respond_success(call);
    return respond_failure(call, "unlinkat", &target, true, err);
}

int handle_executor_make_dir(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};

    if (change(call, AGENT_FRAME_MKDIR, AGENT_FILE_PARENTS, FOLDER_MODE, &target, err) == 0)
        return respond_success(call);
    return respond_failure(call, "mkdir", &target, true, err);
}

/* --- write */

static int stat_path(struct call *call, const char *path, struct agent_file_list *ret_list,
                     struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT, .flags = AGENT_FILE_FOLLOW, .user = SANDBOX_USER, .path = path};

    return files_list(call->services, &call->caller, &call->id, &request, ret_list, err);
}

/* The service makes missing folders; the dialect does not. */
static int check_parent(struct call *call, const char *path, struct error *err)
{
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};
    const char *slash = strrchr(path, '/');
    char parent[FILES_PATH_SIZE];

    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    return stat_path(call, parent[0] ? parent : "/", &list, err);
}

static int check_place(struct call *call, const char *path, struct error *err)
{
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};

    if (stat_path(call, path, &list, err) == 0)
        return list.items[0].type == AGENT_FILE_FOLDER
                   ? error_set_field(err, ERR_CONFLICT, "path", "Is a directory")
                   : 0;
    if (!is_of_file(err) || err->code != ERR_NOT_FOUND)
        return -1;
    return check_parent(call, path, err);
}

static int write_file(struct call *call, struct target *target, struct error *err)
{
    struct agent_file_content content = {
        .user = SANDBOX_USER, .path = target->path, .mode = FILE_MODE, .keeps_mode = true};
    const char *text;
    struct error result;

    if (take_target(call, target, err) < 0 ||
        executor_text(target->body, "content", &text, err) < 0 ||
        check_place(call, target->path, err) < 0)
        return -1;
    content.data = text;
    content.size = strlen(text);
    if (files_write(call->services, &call->caller, &call->id, &content, 1, &result, err) < 0)
        return -1;
    if (result.message[0] == '\0')
        return 0;
    *err = result;
    return -1;
}

int handle_executor_write_file(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};

    if (write_file(call, &target, err) == 0)
        return respond_success(call);
    return respond_failure(call, "open", &target, true, err);
}

/* --- read */

static int respond_content(struct call *call, const struct files_bytes *bytes, struct error *err)
{
    struct executor_answer answer;

    if (executor_answer_begin(&answer, call, bytes->size, err) < 0)
        return -1;
    executor_answer_put(&answer, "{\"content\":\"");
    executor_answer_put_bytes(&answer, bytes->data, bytes->size);
    executor_answer_put(&answer, "\"}\n");
    return executor_answer_end(&answer, err);
}

static int read_up_to(struct call *call, const struct target *target, size_t limit,
                      struct files_bytes *bytes, struct error *err)
{
    files_bytes_free(bytes);
    *bytes = (struct files_bytes){.data = NULL};
    return files_read(call->services, &call->caller, &call->id, SANDBOX_USER, target->path, 0,
                      limit, bytes, err);
}

/* The first read tells how large the file is; only a small one is there with it. */
static int read_bytes(struct call *call, struct target *target, struct executor_memory *memory,
                      struct files_bytes *bytes, struct error *err)
{
    uint64_t size;

    if (take_target(call, target, err) < 0 || read_up_to(call, target, READ_FIRST, bytes, err) < 0)
        return -1;
    size = bytes->entry.items[0].size;
    if (size > READ_MAX)
        return error_set_field(err, ERR_NOT_POSSIBLE, "path", "File too large");
    if (size <= READ_FIRST)
        return 0;
    if (!executor_memory_take(memory, (size_t)size * 2))
        return error_set(err, ERR_INSUFFICIENT_STORAGE,
                         "the answers of executors need too much memory at present");
    return read_up_to(call, target, (size_t)size, bytes, err);
}

int handle_executor_read_file(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};
    _cleanup_(executor_memory_done) struct executor_memory memory = {.call = call};
    _cleanup_(files_bytes_free) struct files_bytes bytes = {.data = NULL};

    if (read_bytes(call, &target, &memory, &bytes, err) == 0)
        return respond_content(call, &bytes, err);
    return respond_failure(call, "open", &target, false, err);
}

/* --- list */

static int respond_entries(struct call *call, struct agent_file_list *list, struct error *err)
{
    cJSON *entries = cJSON_CreateArray();
    cJSON *body;
    bool exact;

    agent_file_list_sort(list, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->items[i].path;
        _cleanup_free_ char *text = text_from_bytes(name, strlen(name), &exact);

        json_append(&entries, text ? cJSON_CreateString(text) : NULL);
    }
    body = entries ? cJSON_CreateObject() : NULL;
    if (!cJSON_AddItemToObject(body, "entries", entries)) {
        cJSON_Delete(entries);
        cJSON_Delete(body);
        return error_no_memory(err);
    }
    return call_respond_json(call, 200, body, err);
}

static int list_entries(struct call *call, struct target *target, struct agent_file_list *list,
                        struct error *err)
{
    const struct agent_file_request request = {.type = AGENT_FRAME_FOLDER,
                                               .number = 1,
                                               .limit = AGENT_LIST_MAX,
                                               .user = SANDBOX_USER,
                                               .path = target->path};

    if (take_target(call, target, err) < 0 ||
        files_list(call->services, &call->caller, &call->id, &request, list, err) < 0)
        return -1;
    if (list->count > ENTRIES_MAX)
        return error_set_field(err, ERR_NOT_POSSIBLE, "path", "More than %d entries", ENTRIES_MAX);
    return 0;
}

int handle_executor_list_dir(struct call *call, struct error *err)
{
    _cleanup_(target_done) struct target target = {.given = NULL};
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};

    if (list_entries(call, &target, &list, err) == 0)
        return respond_entries(call, &list, err);
    return respond_failure(call, "open", &target, false, err);
}
