/* atoll exec, processes, logs. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/ending.h"
#include "cli/following.h"
#include "cli/format.h"
#include "cli/interactive.h"
#include "cli/list.h"
#include "cli/outcome.h"
#include "cli/plain.h"
#include "cli/query.h"
#include "cli/verb_functions.h"
#include "lib/base/base64.h"
#include "lib/base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { INPUT_MAX = 8 << 20, PATH_SIZE = 256 };

/* A command whose output is printed. */
struct output {
    const char *sandbox;
    char process[64]; /* "": not known yet, or */
    bool is_main;     /* the sandbox's own */
    bool follows;     /* until it has ended; else to the log's present end */
    bool as_json;     /* the events are printed */
    bool has_offset;  /* the next is known */
    uint64_t offset;  /* behind what was printed */
    double missed;    /* bytes that were gone before they were read */
    bool has_ended;   /* with: */
    int exit;
    int write_error;                     /* errno; 0: none */
    const volatile sig_atomic_t *ending; /* the signal that ends us, of a command of ours; NULL */
};

static const struct column process_columns[] = {
    {"ID", "id", COLUMN_TEXT},          {"KIND", "kind", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT},    {"EXIT", "exit_code", COLUMN_TEXT},
    {"SIGNAL", "signal", COLUMN_TEXT},  {"AGE", "started_at", COLUMN_AGE},
    {"COMMAND", "command", COLUMN_TEXT}};

static void take_output(struct output *output, FILE *out, const char *id, const cJSON *data)
{
    const cJSON *gap = table_member(data, "gap");

    output->missed += cJSON_IsNumber(gap) ? gap->valuedouble : 0;
    output->has_offset = parse_u64(id, UINT64_MAX, &output->offset);
    if (!output->as_json)
        outcome_write(out, data, "data", "data_base64");
}

static void take_start(struct output *output, const cJSON *data)
{
    const char *id = cJSON_GetStringValue(table_member(data, "id"));

    if (id && api_check_id(id, NULL) == 0)
        (void)snprintf(output->process, sizeof(output->process), "%s", id);
}

/* Its data do not say which event it is. */
static void print_event(const char *name, cJSON *data)
{
    _cleanup_free_ char *line = NULL;

    if (cJSON_IsObject(data) && cJSON_AddStringToObject(data, "event", name))
        line = cJSON_PrintUnformatted(data);
    if (line)
        plain_json(stdout, line);
}

static bool take_event(const struct api_event *event, void *user)
{
    _cleanup_cjson_ cJSON *data = cJSON_Parse(event->data);
    struct output *output = user;
    bool is_error = strcmp(event->name, "stderr") == 0;
    FILE *out = is_error && !output->as_json ? stderr : stdout;

    if (is_error || strcmp(event->name, "stdout") == 0) {
        take_output(output, out, event->id, data);
    } else if (strcmp(event->name, "status") == 0) {
        take_start(output, data);
    } else if (strcmp(event->name, "exit") == 0) {
        output->has_ended = true;
        output->exit = outcome_exit(data);
    }
    if (output->as_json)
        print_event(event->name, data);
    if (fflush(out) != 0)
        output->write_error = errno;
    return output->write_error == 0 && !output->has_ended;
}

static bool has_ended(const void *user)
{
    const struct output *output = user;

    return output->has_ended || output->write_error != 0 || (output->ending && *output->ending);
}

static char *rest_path(const void *user)
{
    const struct output *output = user;
    char *path;

    if (!output->has_offset || (!output->is_main && output->process[0] == '\0') ||
        asprintf(&path, "/v1/sandboxes/%s%s%s/logs?follow=%s&since=%" PRIu64, output->sandbox,
                 output->is_main ? "" : "/processes/", output->process,
                 output->follows ? "true" : "false", output->offset) < 0)
        return NULL;
    return path;
}

/* Prints what the command writes, as it comes. */
static int print_output(struct api *api, struct output *output, const char *method,
                        const char *path, const cJSON *body, struct error *err)
{
    const struct following following = {
        .method = method,
        .path = path,
        .body = body,
        .take = take_event,
        .rest = rest_path,
        .has_ended = has_ended,
        .is_whole = !output->follows,
        .user = output,
    };
    int result = following_run(api, &following, err);

    if (output->write_error != 0)
        return error_set_errno(err, output->write_error, "cannot write what it writes");
    return result;
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
    if (body_read_input("-", INPUT_MAX, &data, &size, err) < 0)
        return -1;
    base64 = base64_encode(data, size);
    if (!base64)
        return error_no_memory(err);
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

/* We end, and the command with us, if we know which it is. */
static int exec_ended(struct api *api, const struct output *output, int number)
{
    const struct followed followed = {output->sandbox, output->process, output->offset};

    api_stop_at(api, NULL);
    if (output->process[0] != '\0' && !output->has_ended)
        ending_pass(api, &followed, number);
    return ending_die(number);
}

/* Its output, as it comes, and its end. */
static int exec_followed(struct api *api, const char *sandbox, const char *path, const cJSON *body,
                         struct error *err)
{
    struct output output = {
        .sandbox = sandbox, .follows = true, .has_offset = true, .ending = ending_came()};
    int result;

    ending_watch();
    api_stop_at(api, output.ending);
    result = print_output(api, &output, "POST", path, body, err);
    if (*output.ending != 0 || output.write_error == EPIPE)
        return exec_ended(api, &output, output.write_error == EPIPE ? SIGPIPE : *output.ending);
    if (result < 0)
        return output.process[0] != '\0' && err->code != ERR_NOT_FOUND
                   ? outcome_left(sandbox, output.process, output.offset, err)
                   : -1;
    if (output.missed > 0)
        return error_set(err, ERR_CONFLICT, "it wrote faster than it was read: %.0f bytes are gone",
                         output.missed);
    return output.exit;
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
    struct list list = {.columns = process_columns, .column_count = ARRAY_SIZE(process_columns)};
    char path[PATH_SIZE];

    if (api_check_id(arguments->words[0], err) < 0 || list_limit(arguments, &list.limit, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/processes", arguments->words[0]);
    list.path = path;
    return list_print(api, &list, err);
}

/* The first request for the output. */
static int make_logs_path(const struct arguments *arguments, const struct output *output,
                          char **ret_path, struct error *err)
{
    const char *since = argument_value(arguments, "--since");
    const char *tail = argument_value(arguments, "--tail");
    /* From 0 on the service tells what is gone. */
    const struct parameter parameters[] = {
        {"follow", output->follows ? "true" : "false"},
        {"since", since || tail ? since : "0"},
        {"tail", tail},
    };
    char base[PATH_SIZE];

    (void)snprintf(base, sizeof(base), "/v1/sandboxes/%s%s%s/logs", output->sandbox,
                   output->is_main ? "" : "/processes/", output->process);
    return query_make(base, parameters, ARRAY_SIZE(parameters), ret_path, err);
}

static int read_logs_options(const struct arguments *arguments, struct output *output,
                             struct error *err)
{
    const char *process = arguments->word_count > 1 ? arguments->words[1] : "";
    const char *since = argument_value(arguments, "--since");
    const char *tail = argument_value(arguments, "--tail");
    uint64_t lines;

    *output = (struct output){
        .sandbox = arguments->words[0],
        .is_main = process[0] == '\0',
        .follows = argument_value(arguments, "--follow"),
        .as_json = argument_value(arguments, "--json"),
        .has_offset = !tail,
    };
    if (api_check_id(output->sandbox, err) < 0 ||
        (arguments->word_count > 1 && api_check_id(process, err) < 0))
        return -1;
    (void)snprintf(output->process, sizeof(output->process), "%s", process);
    if (tail && !parse_u64(tail, UINT32_MAX, &lines))
        return error_set(err, ERR_BAD_REQUEST, "--tail needs a number");
    if (since && !parse_u64(since, INT64_MAX, &output->offset))
        return error_set(err, ERR_BAD_REQUEST, "--since needs a number of bytes");
    return 0;
}

int verb_logs(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct output output;

    if (read_logs_options(arguments, &output, err) < 0 ||
        make_logs_path(arguments, &output, &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0 ||
        print_output(api, &output, "GET", path, NULL, err) < 0)
        return -1;
    if (output.missed > 0 && !output.as_json)
        (void)fprintf(stderr, "atoll: %.0f bytes of it are gone\n", output.missed);
    return CLI_OK;
}
