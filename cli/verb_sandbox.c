/* atoll ps, inspect, create, start, stop, rm. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/format.h"
#include "cli/list.h"
#include "cli/plain.h"
#include "cli/query.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct column sandbox_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"PROJECT", "project_id", COLUMN_TEXT},
    {"IMAGE", "image", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT},
    {"CPU", "resources.cpu", COLUMN_CORES},
    {"MEMORY", "resources.memory", COLUMN_SIZE},
    {"AGE", "created_at", COLUMN_AGE},
    {"REASON", "state_reason", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT},
};

static bool is_up(const cJSON *item)
{
    const char *state = cJSON_GetStringValue(table_member(item, "state"));

    return state && (strcmp(state, "creating") == 0 || strcmp(state, "running") == 0 ||
                     strcmp(state, "paused") == 0);
}

/* NAME=VALUE, as create takes it, or NAME:VALUE, as the service does; a name holds neither. */
static int label_filter(const char *label, char **ret_filter, struct error *err)
{
    size_t length = label ? strcspn(label, "=:") : 0;

    if (!label)
        return 0;
    if (length == 0 || label[length] == '\0')
        return error_set(err, ERR_BAD_REQUEST, "--label needs NAME=VALUE");
    *ret_filter = strdup(label);
    if (!*ret_filter)
        return error_set_errno(err, ENOMEM, "cannot list");
    (*ret_filter)[length] = ':';
    return 0;
}

/* The path with the filters that the options are. */
static int list_path(const struct arguments *arguments, char **ret_path, struct error *err)
{
    const char *project = argument_value(arguments, "--project");
    _cleanup_free_ char *label = NULL;

    if ((project && api_check_id(project, err) < 0) ||
        label_filter(argument_value(arguments, "--label"), &label, err) < 0)
        return -1;
    return query_make("/v1/sandboxes",
                      (const struct parameter[]){{"project_id", project}, {"label", label}}, 2,
                      ret_path, err);
}

int verb_ps(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct list list = {
        .columns = sandbox_columns,
        .column_count = ARRAY_SIZE(sandbox_columns),
        .wanted = argument_value(arguments, "--all") ? NULL : is_up,
    };

    if (list_limit(arguments, &list.limit, err) < 0 || list_path(arguments, &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    list.path = path;
    return list_print(api, &list, err);
}

/* Does `action` with one sandbox, and prints its id. */
static int act(struct api *api, const char *sandbox, const char *method, const char *action,
               const cJSON *body, struct error *err)
{
    _cleanup_cjson_ cJSON *answer = NULL;
    char path[96];

    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s%s", sandbox, action);
    if (api_call(api, method, path, body, &answer, err) < 0)
        return -1;
    if (!api_json(api))
        (void)puts(sandbox);
    return 0;
}

/* As act, with each sandbox that the words name. One that fails keeps it from no other; the last
 * failure is the result. Without the service the others are not tried. */
static int act_on_each(struct cli *cli, const struct arguments *arguments, const char *method,
                       const char *action, const cJSON *body, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    struct error failure = {.code = ERR_INTERNAL};
    int result = CLI_OK;

    for (size_t i = 0; i < arguments->word_count; i++)
        if (api_check_id(arguments->words[i], err) < 0)
            return -1;
    if (api_open(cli, arguments, &api, err) < 0)
        return -1;
    for (size_t i = 0; i < arguments->word_count && failure.code != ERR_UNAVAILABLE; i++) {
        if (act(api, arguments->words[i], method, action, body, &failure) == 0)
            continue;
        if (result < 0)
            plain_complain(err->message);
        *err = failure;
        result = arguments->word_count > 1 ? error_wrap(err, "%s", arguments->words[i]) : -1;
    }
    return result;
}

int verb_inspect(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    char path[96];

    if (api_check_id(arguments->words[0], err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s", arguments->words[0]);
    return api_show(api, "GET", path, NULL, err);
}

int verb_start(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act_on_each(cli, arguments, "POST", "/start", NULL, err);
}

int verb_stop(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    const char *text = argument_value(arguments, "--timeout");
    int64_t milliseconds;

    if (text && !parse_duration_ms(text, &milliseconds))
        return error_set(err, ERR_BAD_REQUEST, "stop: --timeout needs a time such as 10s");
    /* Whole seconds, and never none for some: none is KILL at once. */
    if (text)
        cJSON_AddNumberToObject(body, "timeout", ceil((double)milliseconds / 1000));
    return act_on_each(cli, arguments, "POST", "/stop", body, err);
}

int verb_rm(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act_on_each(cli, arguments, "DELETE", "", NULL, err);
}

static int add_resources(cJSON *body, const struct arguments *arguments, struct error *err)
{
    const char *cpu = argument_value(arguments, "--cpu");
    cJSON *resources = cJSON_AddObjectToObject(body, "resources");
    int64_t milli;

    if (cpu && !parse_cores(cpu, &milli))
        return error_set(err, ERR_BAD_REQUEST, "--cpu needs cores such as 0.5 or 2");
    if (cpu)
        cJSON_AddNumberToObject(resources, "cpu", (double)milli / 1000);
    return body_add_size(resources, arguments, "--memory", "memory", err);
}

static void add_words(cJSON *body, const struct arguments *arguments)
{
    cJSON *command;

    if (arguments->rest_count == 0)
        return;
    command = cJSON_AddArrayToObject(body, "command");
    for (size_t i = 0; i < arguments->rest_count; i++)
        cJSON_AddItemToArray(command, cJSON_CreateString(arguments->rest[i]));
}

static int create_body(const struct arguments *arguments, cJSON *body, struct error *err)
{
    body_add_text(body, arguments, "--runtime", "runtime");
    body_add_text(body, arguments, "--name", "name");
    body_add_text(body, arguments, "--project", "project_id");
    if (arguments->word_count > 0)
        cJSON_AddStringToObject(body, "image", arguments->words[0]);
    if (add_resources(body, arguments, err) < 0 ||
        body_add_size(body, arguments, "--disk", "disk_limit", err) < 0 ||
        body_add_pairs(body, arguments, "--env", "environment", err) < 0 ||
        body_add_pairs(body, arguments, "--label", "labels", err) < 0)
        return -1;
    add_words(body, arguments);
    return 0;
}

int verb_create(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();

    if (create_body(arguments, body, err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    return api_show_member(api, "POST", "/v1/sandboxes", body, "id", err);
}
