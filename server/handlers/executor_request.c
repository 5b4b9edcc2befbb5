#include "server/handlers/executor_request.h"

#include "lib/base/util.h"
#include "server/handlers/executor_events.h"
#include "server/services/environment.h"
#include "server/services/files.h"

#include <string.h>

enum { ENVIRONMENT_MAX = 256 };

static int bad_body(struct error *err)
{
    return error_set(err, ERR_BAD_REQUEST, "the body is not what the operation takes");
}

int executor_body(struct call *call, cJSON **ret_body, struct error *err)
{
    size_t max = (size_t)call->services->config->server_max_body_bytes;
    _cleanup_cjson_ cJSON *body = NULL;
    const char *data;
    size_t size;

    if (http_request_body(call->request, max, &data, &size, err) < 0 ||
        json_parse(data, size, &body, err) < 0)
        return -1;
    if (!cJSON_IsObject(body))
        return bad_body(err);
    *ret_body = TAKE_PTR(body);
    return 0;
}

int executor_text(const cJSON *body, const char *name, const char **ret_text, struct error *err)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(body, name);

    if (!member || cJSON_IsNull(member)) {
        *ret_text = "";
        return 0;
    }
    if (!cJSON_IsString(member))
        return bad_body(err);
    *ret_text = member->valuestring;
    return 0;
}

void executor_command_done(struct executor_command *command)
{
    free(command->cwd);
    free(command->command_json);
    cJSON_Delete(command->body);
}

/* --- the folder */

static bool is_folder(struct call *call, const char *path, struct error *err)
{
    const struct agent_file_request request = {
        .type = AGENT_FRAME_STAT, .flags = AGENT_FILE_FOLLOW, .user = SANDBOX_USER, .path = path};
    _cleanup_(agent_file_list_free) struct agent_file_list list = {.count = 0};

    return files_list(call->services, &call->caller, &call->id, &request, &list, err) == 0 &&
           list.items[0].type == AGENT_FILE_FOLDER;
}

static int no_folder(const char *cwd, struct error *err)
{
    return error_set_field(err, ERR_INVALID_FIELD, "cwd", "Invalid working directory: %s", cwd);
}

static int take_folder(struct call *call, struct executor_command *command, struct error *err)
{
    struct error why = {.field = "path"};
    char path[FILES_PATH_SIZE];
    const char *cwd = "";

    if (executor_text(command->body, "cwd", &cwd, err) < 0)
        return -1;
    if (cwd[0] == '\0')
        return 0;
    if (files_resolve("cwd", cwd, path, err) < 0)
        return no_folder(cwd, err);
    if (!is_folder(call, path, &why)) {
        if (strcmp(why.field, "path") == 0)
            return no_folder(cwd, err);
        *err = why; /* it is not the folder's fault */
        return executor_explain(err);
    }
    command->cwd = strdup(path);
    command->spec.cwd = command->cwd;
    return command->cwd ? 0 : error_no_memory(err);
}

/* --- the rest */

static int take_environment(struct executor_command *command, struct error *err)
{
    const cJSON *environment = cJSON_GetObjectItemCaseSensitive(command->body, "env");

    if (!environment || cJSON_IsNull(environment))
        return 0;
    if (!cJSON_IsObject(environment))
        return bad_body(err);
    if (cJSON_GetArraySize(environment) > ENVIRONMENT_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, "env", "'env' has at most %d variables",
                               ENVIRONMENT_MAX);
    command->spec.environment = environment;
    return environment_check(environment, "env", false, err);
}

static int take_arguments(struct executor_command *command, struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", command->text};
    _cleanup_cjson_ cJSON *array = cJSON_CreateStringArray(argv, (int)ARRAY_SIZE(argv));

    command->command_json = array ? cJSON_PrintUnformatted(array) : NULL;
    if (!command->command_json)
        return error_no_memory(err);
    memcpy(command->argv, argv, sizeof(argv));
    command->spec.command_json = command->command_json;
    return 0;
}

static int read_command(struct call *call, struct executor_command *command, struct error *err)
{
    if (executor_body(call, &command->body, err) < 0 ||
        executor_text(command->body, "cmd", &command->text, err) < 0 ||
        take_environment(command, err) < 0 || take_folder(call, command, err) < 0)
        return -1;
    return take_arguments(command, err);
}

int executor_command_read(struct call *call, struct executor_command *ret_command,
                          struct error *err)
{
    if (read_command(call, ret_command, err) < 0)
        return -1;
    ret_command->spec.argv = ret_command->argv;
    ret_command->spec.policy_notice = ret_command->notice;
    return 0;
}

bool executor_command_is_at_fault(const struct error *error)
{
    return strcmp(error->field, "command") == 0 && error->code != ERR_COMMAND;
}
