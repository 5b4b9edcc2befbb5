/* atoll exec, processes, logs. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/format.h"
#include "cli/interactive.h"
#include "cli/outcome.h"
#include "cli/verb_functions.h"
#include "lib/base/base64.h"
#include "lib/base/util.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUT_MAX = 8 << 20,
    PATH_SIZE = 256,
    TRIES_MAX = 10,
    PAUSE_S = 1, /* between two tries */
};

/* What is known of a command whose events are followed. */
struct following {
    char process[64];
    char offset[32]; /* behind the output that was printed */
    double missed;   /* bytes that were gone before we read them */
    bool ended;
    int exit;
};

static const struct column process_columns[] = {
    {"ID", "id", COLUMN_TEXT},          {"KIND", "kind", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT},    {"EXIT", "exit_code", COLUMN_TEXT},
    {"SIGNAL", "signal", COLUMN_TEXT},  {"AGE", "started_at", COLUMN_AGE},
    {"COMMAND", "command", COLUMN_TEXT}};

static bool take_event(const struct api_event *event, void *user)
{
    _cleanup_cjson_ cJSON *data = cJSON_Parse(event->data);
    struct following *following = user;
    bool is_out = strcmp(event->name, "stdout") == 0;
    const char *id = cJSON_GetStringValue(table_member(data, "id"));

    if (is_out || strcmp(event->name, "stderr") == 0) {
        const cJSON *gap = table_member(data, "gap");

        following->missed += cJSON_IsNumber(gap) ? gap->valuedouble : 0;
        outcome_write(is_out ? stdout : stderr, data, "data", "data_base64");
        (void)snprintf(following->offset, sizeof(following->offset), "%s", event->id);
    } else if (strcmp(event->name, "status") == 0 && id) {
        (void)snprintf(following->process, sizeof(following->process), "%s", id);
    } else if (strcmp(event->name, "exit") == 0) {
        following->ended = true;
        following->exit = outcome_exit(data);
    }
    return fflush(is_out ? stdout : stderr) == 0 && !following->ended;
}

/* The rest of a command's output, behind what was printed. */
static int follow_rest(struct api *api, const char *sandbox, struct following *following,
                       struct error *err)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes/%s/logs?follow=true&since=%s",
                   sandbox, following->process, following->offset);
    return api_follow(api, "GET", path, NULL, take_event, following, err);
}

/* A stream that broke off is taken up again: the command goes on without it. */
static int follow_on(struct api *api, const char *sandbox, struct following *following,
                     struct error *err)
{
    for (int idle = 0; idle < TRIES_MAX && !following->ended; idle++) {
        char before[sizeof(following->offset)];

        memcpy(before, following->offset, sizeof(before));
        if (follow_rest(api, sandbox, following, err) < 0 && err->code != ERR_UNAVAILABLE)
            return -1;
        if (strcmp(before, following->offset) != 0)
            idle = 0;
        else if (!following->ended)
            (void)sleep(PAUSE_S);
    }
    return following->ended
               ? CLI_OK
               : error_set(err, ERR_UNAVAILABLE, "its output breaks off: the command goes on as %s",
                           following->process);
}

static int add_timeout(cJSON *body, const struct arguments *arguments, struct error *err)
{
    const char *text = argument_value(arguments, "--timeout");
    int64_t value;

    if (!text)
        return 0;
    if (!parse_duration_ms(text, &value))
        return error_set(err, ERR_BAD_REQUEST, "exec: --timeout needs a time such as 500ms or 30s");
    cJSON_AddNumberToObject(body, "timeout", (double)value / 1000);
    return 0;
}

static int add_input(cJSON *body, const struct arguments *arguments, struct error *err)
{
    _cleanup_free_ char *data = NULL;
    _cleanup_free_ char *base64 = NULL;
    size_t size;

    if (!argument_value(arguments, "--stdin"))
        return 0;
    if (read_file(AT_FDCWD, "/dev/stdin", INPUT_MAX, &data, &size, err) < 0) {
        err->code = ERR_BAD_REQUEST;
        return -1;
    }
    base64 = base64_encode(data, size);
    if (!base64)
        return error_set(err, ERR_INTERNAL, "out of memory");
    cJSON_AddStringToObject(body, "stdin_base64", base64);
    return 0;
}

static int make_body(const struct arguments *arguments, cJSON *body, struct error *err)
{
    cJSON *command = cJSON_AddArrayToObject(body, "command");

    if (arguments->rest_count == 0)
        return error_set(err, ERR_BAD_REQUEST, "exec: the command is missing: exec ID -- COMMAND");
    for (size_t i = 0; i < arguments->rest_count; i++)
        cJSON_AddItemToArray(command, cJSON_CreateString(arguments->rest[i]));
    body_add_text(body, arguments, "--cwd", "cwd");
    body_add_text(body, arguments, "--user", "user");
    if (add_timeout(body, arguments, err) < 0 || add_input(body, arguments, err) < 0)
        return -1;
    return body_add_pairs(body, arguments, "--env", "environment", err);
}

/* As one answer, which --json prints. */
static int exec_whole(struct api *api, const char *path, const cJSON *body, struct error *err)
{
    _cleanup_cjson_ cJSON *answer = NULL;

    if (api_call(api, "POST", path, body, &answer, err) < 0)
        return -1;
    return outcome_exit(answer);
}

static int check_options(const struct arguments *arguments, bool is_interactive, struct error *err)
{
    if (is_interactive &&
        (argument_value(arguments, "--json") || argument_value(arguments, "--stdin")))
        return error_set(err, ERR_BAD_REQUEST, "exec: -i and -t go without --json and --stdin");
    return api_check_id(arguments->words[0], err);
}

/* Prints what the command writes, as it comes. */
static int exec_followed(struct api *api, const char *sandbox, const char *path, const cJSON *body,
                         struct error *err)
{
    struct following following = {.offset = "0"};

    if (api_follow(api, "POST", path, body, take_event, &following, err) < 0 &&
        following.process[0] == '\0')
        return -1;
    if (!following.ended && follow_on(api, sandbox, &following, err) < 0)
        return -1;
    if (following.missed > 0)
        return error_set(err, ERR_CONFLICT, "it wrote faster than it was read: %.0f bytes are gone",
                         following.missed);
    return following.exit;
}

int verb_exec(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    const char *sandbox = arguments->words[0];
    bool has_terminal = argument_value(arguments, "-t");
    bool is_interactive = has_terminal || argument_value(arguments, "-i");
    char path[PATH_SIZE];

    if (check_options(arguments, is_interactive, err) < 0 || make_body(arguments, body, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/exec", sandbox);
    if (api_json(api))
        return exec_whole(api, path, body, err);
    return is_interactive ? interactive_run(api, sandbox, body, has_terminal, err)
                          : exec_followed(api, sandbox, path, body, err);
}

int verb_processes(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    struct api_list list = {.columns = process_columns,
                            .column_count = ARRAY_SIZE(process_columns)};
    char path[PATH_SIZE];

    if (api_check_id(arguments->words[0], err) < 0 || api_limit(arguments, &list.limit, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes", arguments->words[0]);
    list.path = path;
    return api_list(api, &list, err);
}

static bool print_event(const struct api_event *event, __attribute__((unused)) void *user)
{
    return puts(event->data) >= 0 && fflush(stdout) == 0;
}

static int logs_path(const struct arguments *arguments, char path[static PATH_SIZE],
                     struct error *err)
{
    const char *process = arguments->word_count > 1 ? arguments->words[1] : NULL;
    const char *tail = argument_value(arguments, "--tail");
    uint64_t lines;

    if (api_check_id(arguments->words[0], err) < 0 || (process && api_check_id(process, err) < 0))
        return -1;
    if (tail && !parse_u64(tail, UINT32_MAX, &lines))
        return error_set(err, ERR_BAD_REQUEST, "--tail needs a number");
    (void)snprintf(path, PATH_SIZE, "/v1/sandboxes/%s%s%s/logs?follow=%s%s%s", arguments->words[0],
                   process ? "/processes/" : "", process ? process : "",
                   argument_value(arguments, "--follow") ? "true" : "false", tail ? "&tail=" : "",
                   tail ? tail : "");
    return 0;
}

int verb_logs(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    struct following following = {.offset = "0"};
    char path[PATH_SIZE];

    if (logs_path(arguments, path, err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    return api_follow(api, "GET", path, NULL, api_json(api) ? print_event : take_event, &following,
                      err);
}
