/* atoll ps, inspect, create, start, stop, rm. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/format.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

DEFINE_CLEANUP(char *, curl_text, curl_free)

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

/* The path with the filters that the options are. */
static int list_path(const struct arguments *arguments, char **ret_path, struct error *err)
{
    const char *project = argument_value(arguments, "--project");
    const char *label = argument_value(arguments, "--label");
    _cleanup_(cleanup_curl_text) char *escaped = curl_easy_escape(NULL, label ? label : "", 0);

    if (project && api_check_id(project, err) < 0)
        return -1;
    if (!escaped || asprintf(ret_path, "/v1/sandboxes?%s%s%s%s%s", project ? "project_id=" : "",
                             project ? project : "", project && label ? "&" : "",
                             label ? "label=" : "", escaped) < 0)
        return error_set_errno(err, ENOMEM, "cannot list");
    if ((*ret_path)[strlen(*ret_path) - 1] == '?')
        (*ret_path)[strlen(*ret_path) - 1] = '\0';
    return 0;
}

int verb_ps(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_free_ char *path = NULL;
    struct api_list list = {
        .columns = sandbox_columns,
        .column_count = ARRAY_SIZE(sandbox_columns),
        .wanted = argument_value(arguments, "--all") ? NULL : is_up,
    };

    if (api_limit(arguments, &list.limit, err) < 0 || list_path(arguments, &path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0)
        return -1;
    list.path = path;
    return api_list(api, &list, err);
}

/* What is done with each sandbox that the words name. The first failure ends it. */
static int each(struct cli *cli, const struct arguments *arguments, const char *method,
                const char *action, const cJSON *body, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;

    for (size_t i = 0; i < arguments->word_count; i++)
        if (api_check_id(arguments->words[i], err) < 0)
            return -1;
    if (api_open(cli, arguments, &api, err) < 0)
        return -1;
    for (size_t i = 0; i < arguments->word_count; i++) {
        _cleanup_cjson_ cJSON *answer = NULL;
        char path[96];

        (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s%s", arguments->words[i], action);
        if (api_call(api, method, path, body, &answer, err) < 0)
            return -1;
        if (!api_json(api))
            (void)puts(arguments->words[i]);
    }
    return CLI_OK;
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
    return each(cli, arguments, "POST", "/start", NULL, err);
}

int verb_stop(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    const char *text = argument_value(arguments, "--timeout");
    int64_t seconds = 0;

    if (text && !parse_duration_ms(text, &seconds))
        return error_set(err, ERR_BAD_REQUEST, "stop: --timeout needs a time such as 10s");
    seconds /= 1000;
    if (text)
        cJSON_AddNumberToObject(body, "timeout", (double)seconds);
    return each(cli, arguments, "POST", "/stop", body, err);
}

int verb_rm(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return each(cli, arguments, "DELETE", "", NULL, err);
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
