/* atoll tenant, project, key, quota. */
#include "cli/api.h"
#include "cli/body.h"
#include "cli/format.h"
#include "cli/list.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"

#include <errno.h>
#include <string.h>

enum { PATH_SIZE = 160 };

static const struct column tenant_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT},
    {"STATE", "state", COLUMN_TEXT},
    {"AGE", "created_at", COLUMN_AGE},
};

static const struct column project_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT},
    {"DEFAULT", "is_default", COLUMN_TEXT},
    {"AGE", "created_at", COLUMN_AGE},
};

static const struct column key_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT},
    {"PREFIX", "prefix", COLUMN_TEXT},
    {"ROLE", "role", COLUMN_TEXT},
    {"PROJECT", "project_id", COLUMN_TEXT},
    {"AGE", "created_at", COLUMN_AGE},
    {"USED", "last_used_at", COLUMN_AGE},
    {"EXPIRES", "expires_at", COLUMN_TEXT},
};

/* Lists `path` by the columns. */
static int list(struct cli *cli, const struct arguments *arguments, const char *path,
                const struct column *columns, size_t count, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    struct list what = {.path = path, .columns = columns, .column_count = count};

    if (list_limit(arguments, &what.limit, err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    return list_print(api, &what, err);
}

/* Does `method` with what `folder` has under the id that is the first word. */
static int act(struct cli *cli, const struct arguments *arguments, const char *method,
               const char *folder, const cJSON *body, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    char path[PATH_SIZE];

    if (api_check_id(arguments->words[0], err) < 0 || api_open(cli, arguments, &api, err) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, arguments->words[0]);
    return api_show(api, method, path, body, err);
}

/* Makes something, and prints the word of it that is asked for next. */
static int make(struct cli *cli, const struct arguments *arguments, const char *path,
                const cJSON *body, const char *member, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;

    if (!body)
        return error_set_errno(err, ENOMEM, "cannot ask for it");
    if (api_open(cli, arguments, &api, err) < 0)
        return -1;
    return api_show_member(api, "POST", path, body, member, err);
}

static int make_named(struct cli *cli, const struct arguments *arguments, const char *path,
                      struct error *err)
{
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();

    cJSON_AddStringToObject(body, "name", arguments->words[0]);
    return make(cli, arguments, path, body, "id", err);
}

int verb_tenant_create(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return make_named(cli, arguments, "/v1/tenants", err);
}

int verb_tenant_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return list(cli, arguments, "/v1/tenants", tenant_columns, ARRAY_SIZE(tenant_columns), err);
}

int verb_tenant_show(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act(cli, arguments, "GET", "/v1/tenants", NULL, err);
}

static int set_tenant_state(struct cli *cli, const struct arguments *arguments, const char *state,
                            struct error *err)
{
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();

    cJSON_AddStringToObject(body, "state", state);
    return act(cli, arguments, "PATCH", "/v1/tenants", body, err);
}

int verb_tenant_suspend(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return set_tenant_state(cli, arguments, "suspended", err);
}

int verb_tenant_resume(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return set_tenant_state(cli, arguments, "active", err);
}

int verb_tenant_rm(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act(cli, arguments, "DELETE", "/v1/tenants", NULL, err);
}

int verb_project_create(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return make_named(cli, arguments, "/v1/projects", err);
}

int verb_project_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return list(cli, arguments, "/v1/projects", project_columns, ARRAY_SIZE(project_columns), err);
}

int verb_project_rm(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act(cli, arguments, "DELETE", "/v1/projects", NULL, err);
}

int verb_key_create(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_cjson_ cJSON *body = cJSON_CreateObject();
    const char *role = argument_value(arguments, "--role");

    cJSON_AddStringToObject(body, "name", arguments->words[0]);
    cJSON_AddStringToObject(body, "role", role ? role : "member");
    body_add_text(body, arguments, "--project", "project_id");
    body_add_text(body, arguments, "--expires", "expires_at");
    return make(cli, arguments, "/v1/api-keys", body, "key", err);
}

int verb_key_ls(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return list(cli, arguments, "/v1/api-keys", key_columns, ARRAY_SIZE(key_columns), err);
}

int verb_key_revoke(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    return act(cli, arguments, "DELETE", "/v1/api-keys", NULL, err);
}

/* Of the tenant that is named, or of the caller's. */
static int quota_path(const char *tenant, const char *project, char path[static PATH_SIZE],
                      struct error *err)
{
    if ((tenant && api_check_id(tenant, err) < 0) || (project && api_check_id(project, err) < 0))
        return -1;
    if (tenant && project)
        (void)snprintf(path, PATH_SIZE, "/v1/tenants/%s/projects/%s/quota", tenant, project);
    else if (tenant)
        (void)snprintf(path, PATH_SIZE, "/v1/tenants/%s/quota", tenant);
    else if (project)
        (void)snprintf(path, PATH_SIZE, "/v1/projects/%s/quota", project);
    else
        (void)snprintf(path, PATH_SIZE, "/v1/quota");
    return 0;
}

static bool parse_count(const char *text, int64_t *ret_count)
{
    uint64_t count;

    if (!parse_u64(text, INT32_MAX, &count))
        return false;
    *ret_count = (int64_t)count;
    return true;
}

/* The quotas by name: what the command line calls them, the API's member, and how they are read. */
static const struct {
    const char *name;
    const char *member;
    bool (*parse)(const char *text, int64_t *ret_value);
    enum column_format format;
} quotas[] = {
    {"sandboxes", "sandboxes", parse_count, COLUMN_TEXT},
    {"cpu", "cpu_milli", parse_cores, COLUMN_MILLI},
    {"memory", "memory_mb", parse_mebibytes, COLUMN_SIZE},
    {"disk", "disk_mb", parse_mebibytes, COLUMN_SIZE},
    {"processes", "processes", parse_count, COLUMN_TEXT},
    {"volumes", "volumes", parse_count, COLUMN_TEXT},
    {"deployments", "deployments", parse_count, COLUMN_TEXT},
    {"creates_per_minute", "creates_per_minute", parse_count, COLUMN_TEXT},
};

/* One table row a quota: its formats differ, so each is printed as a text of its own. */
static void print_quota(const cJSON *answer)
{
    const cJSON *limits = table_member(answer, "limits");
    const cJSON *used = table_member(answer, "used");

    (void)printf("%-20s %-12s %s\n", "QUOTA", "LIMIT", "USED");
    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
        _cleanup_free_ char *limit =
            table_value_text(table_member(limits, quotas[i].member), quotas[i].format);
        _cleanup_free_ char *use =
            table_value_text(table_member(used, quotas[i].member), quotas[i].format);

        (void)printf("%-20s %-12s %s\n", quotas[i].name, limit ? limit : "", use ? use : "");
    }
}

int verb_quota_show(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    const char *tenant = arguments->word_count > 0 ? arguments->words[0] : NULL;
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *answer = NULL;
    char path[PATH_SIZE];

    if (quota_path(tenant, argument_value(arguments, "--project"), path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0 ||
        api_call(api, "GET", path, NULL, &answer, err) < 0)
        return -1;
    if (!api_json(api))
        print_quota(answer);
    return CLI_OK;
}

static int refuse_quota(const char *word, size_t length, struct error *err)
{
    char names[ERROR_MESSAGE_MAX / 2] = "";
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_SIZE(quotas) && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                                 quotas[i].name);
    return error_set(err, ERR_BAD_REQUEST, "quota set: there is no quota '%.*s', only %s",
                     (int)(length < 64 ? length : 64), word, names);
}

/* Puts "memory=4g" into the limits; "memory=none" takes the limit away. */
static int set_limit(cJSON *limits, const char *word, struct error *err)
{
    size_t length = strcspn(word, "=");
    const char *text = word[length] ? word + length + 1 : "";
    int64_t value = 0;

    for (size_t i = 0; i < ARRAY_SIZE(quotas); i++) {
        if (strlen(quotas[i].name) != length || memcmp(quotas[i].name, word, length) != 0)
            continue;
        cJSON_DeleteItemFromObject(limits, quotas[i].member);
        if (strcmp(text, "none") == 0)
            return 0;
        if (!quotas[i].parse(text, &value))
            return error_set(err, ERR_BAD_REQUEST,
                             "quota set: %.128s is not NAME=LIMIT, as sandboxes=10 or memory=8g",
                             word);
        cJSON_AddNumberToObject(limits, quotas[i].member, (double)value);
        return 0;
    }
    return refuse_quota(word, length, err);
}

/* A PUT replaces all limits: what is not named stays because it is sent again. */
int verb_quota_set(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    _cleanup_api_ struct api *api = NULL;
    _cleanup_cjson_ cJSON *now = NULL;
    _cleanup_cjson_ cJSON *answer = NULL;
    cJSON *limits;
    char path[PATH_SIZE];

    if (quota_path(arguments->words[0], argument_value(arguments, "--project"), path, err) < 0 ||
        api_open(cli, arguments, &api, err) < 0 || api_get(api, path, &now, err) < 0)
        return -1;
    limits = cJSON_GetObjectItem(now, "limits");
    for (size_t i = 1; i < arguments->word_count; i++)
        if (set_limit(limits, arguments->words[i], err) < 0)
            return -1;
    if (api_call(api, "PUT", path, limits, &answer, err) < 0)
        return -1;
    if (!api_json(api))
        print_quota(answer);
    return CLI_OK;
}
