/* atoll run: code of a file in, its output and exit code out. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/format.h"
#include "cli/outcome.h"
#include "cli/table.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of the code, and of standard input; the service's limits are lower or the same. */
enum { INPUT_MAX = 16 << 20 };

#define SHELL_COMMAND "/bin/sh main.sh"

/* How each runtime is told its arguments: by a command line for /bin/sh. */
static const struct {
    const char *runtime;
    const char *suffix;  /* of the files it is guessed by */
    const char *command; /* NULL: it takes no arguments */
} runtimes[] = {
    {"python", ".py", "python3 main.py"},
    {"node", ".js", "node index.js"},
    {"bun", ".bun.ts", "bun run index.ts"}, /* before .ts, which it ends in, too */
    {"typescript", ".ts", NULL},
    {"shell", ".sh", SHELL_COMMAND},
};

static bool ends_in(const char *text, const char *suffix)
{
    size_t length = strlen(text);
    size_t suffix_length = strlen(suffix);

    return length > suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

/* The one that is named, else the one of the file's name. */
static int find_runtime(const struct arguments *arguments, size_t *ret_index, struct error *err)
{
    const char *named = argument_value(arguments, "--runtime");

    for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
        if (named ? strcmp(named, runtimes[i].runtime) != 0
                  : !ends_in(arguments->words[0], runtimes[i].suffix))
            continue;
        *ret_index = i;
        return 0;
    }
    return error_set(err, ERR_BAD_REQUEST,
                     "run: --runtime needs one of python, node, typescript, shell, bun");
}

/* Appends `word` in quotes of the shell: nothing in it has a meaning. */
static int append_quoted(FILE *out, const char *word)
{
    (void)fputs(" '", out);
    for (; *word != '\0'; word++)
        (void)fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, out);
    return fputc('\'', out);
}

/* A script that names its interpreter is run by that, with arguments as without. */
static const char *command_of(size_t runtime, const cJSON *body)
{
    const char *command = runtimes[runtime].command;
    const char *code = cJSON_GetStringValue(table_member(body, "code"));

    if (strcmp(command, SHELL_COMMAND) == 0 && strncmp(code, "#!", 2) == 0)
        return "./main.sh";
    return command;
}

static int add_command(cJSON *body, const struct arguments *arguments, size_t runtime,
                       struct error *err)
{
    _cleanup_free_ char *text = NULL;
    size_t size;
    FILE *out;

    if (arguments->rest_count == 0)
        return 0;
    if (!runtimes[runtime].command)
        return error_set(err, ERR_BAD_REQUEST, "run: %s takes no arguments",
                         runtimes[runtime].runtime);
    out = open_memstream(&text, &size);
    if (!out)
        return error_set_errno(err, errno, "run");
    (void)fputs(command_of(runtime, body), out);
    for (size_t i = 0; i < arguments->rest_count; i++)
        (void)append_quoted(out, arguments->rest[i]);
    if (fclose(out) != 0 || !text)
        return error_set_errno(err, ENOMEM, "run");
    cJSON_AddStringToObject(body, "entry_point", text);
    return 0;
}

/* A file, or standard input for "-", as a member that is text. */
static int add_input(cJSON *body, const char *member, const char *path, struct error *err)
{
    _cleanup_free_ char *data = NULL;
    size_t size;

    if (body_read_input(path, INPUT_MAX, &data, &size, err) < 0)
        return -1;
    if (strlen(data) != size || !utf8_valid(data, size))
        return error_set(err, ERR_BAD_REQUEST, "%s is not text (UTF-8)", path);
    cJSON_AddStringToObject(body, member, data);
    return 0;
}

static int add_limits(cJSON *body, const struct arguments *arguments, struct error *err)
{
    const char *timeout = argument_value(arguments, "--timeout");
    int64_t value;

    if (timeout && !parse_duration_ms(timeout, &value))
        return error_set(err, ERR_BAD_REQUEST, "run: --timeout needs a time such as 500ms or 30s");
    if (timeout)
        cJSON_AddNumberToObject(body, "timeout_ms", (double)value);
    return body_add_size(body, arguments, "--memory", "memory_limit_mb", err);
}

static int make_body(const struct arguments *arguments, cJSON *body, struct error *err)
{
    const char *file = arguments->words[0];
    size_t runtime = 0;

    if (argument_value(arguments, "--stdin") && strcmp(file, "-") == 0)
        return error_set(err, ERR_BAD_REQUEST, "run: '-' and --stdin are the same input");
    if (find_runtime(arguments, &runtime, err) < 0 || add_input(body, "code", file, err) < 0 ||
        (argument_value(arguments, "--stdin") && add_input(body, "stdin", "-", err) < 0))
        return -1;
    cJSON_AddStringToObject(body, "runtime", runtimes[runtime].runtime);
    body_add_text(body, arguments, "--project", "project_id");
    if (add_command(body, arguments, runtime, err) < 0 || add_limits(body, arguments, err) < 0)
        return -1;
    return body_add_pairs(body, arguments, "--env", "environment", err);
}

int verb_run_code(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    _cleanup_cjson_ cJSON *result = NULL;

    if (make_body(arguments, body, err) < 0 || api_open(cli, arguments, &api, err) < 0 ||
        api_call(api, "POST", "/v1/runs", body, &result, err) < 0)
        return -1;
    if (!api_json(api)) {
        outcome_write(stdout, result, "stdout", "stdout_base64");
        outcome_write(stderr, result, "stderr", "stderr_base64");
    }
    return outcome_exit(result);
}
