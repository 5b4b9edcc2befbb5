/* Processes that live on, as the executor dialect shows them. */
#include "lib/base/util.h"
#include "server/handlers/executor.h"
#include "server/handlers/executor_events.h"
#include "server/handlers/executor_request.h"

#include <signal.h>
#include <string.h>

/* By this word the sandbox's processes are known that the dialect has started to live on. */
#define PROCESS_TAG "executor"

enum {
    LIST_MAX = AGENT_PROCESSES_MAX,
    LOG_LINES = 2 * ATTACH_TAIL_MAX, /* at least half of them is kept */
    KILL_WAIT_MS = 2000,             /* for the end of what was killed */
    UUID_SIZE = 37,
    QUERY_ID_SIZE = 256,
};

static void format_uuid(const struct id *id, char text[static UUID_SIZE])
{
    char digits[ID_TEXT_SIZE];

    id_format(id, digits);
    (void)snprintf(text, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
                   digits + 16, digits + 20);
}

/* What nobody saw the end of died with its sandbox's agent. */
static const char *status_of(const struct process_info *info)
{
    if (info->row.state == PROCESS_LOST)
        return process_state_name(PROCESS_KILLED);
    return process_state_name(info->row.state);
}

static char *not_found(const char *id)
{
    char *text;

    return asprintf(&text, "process not found: %s", id) < 0 ? NULL : text;
}

/* --- start */

static int respond_started(struct call *call, int status, const struct process_info *info,
                           const char *failure, struct error *err)
{
    cJSON *body = cJSON_CreateObject();
    char id[UUID_SIZE] = "";

    if (info)
        format_uuid(&info->row.id, id);
    (void)cJSON_AddStringToObject(body, "id", id);
    (void)cJSON_AddNumberToObject(body, "pid", info && info->is_live ? info->live.pid : 0);
    (void)cJSON_AddStringToObject(body, "status", info ? process_state_name(PROCESS_RUNNING) : "");
    if (failure)
        (void)cJSON_AddStringToObject(body, "error", failure);
    return call_respond_json(call, status, body, err);
}

int handle_executor_start_process(struct call *call, struct error *err)
{
    _cleanup_(executor_command_done) struct executor_command command = {.text = NULL};
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};
    struct error why;

    if (executor_command_read(call, &command, err) < 0)
        return -1;
    if (command.text[0] == '\0')
        return error_set_field(err, ERR_INVALID_FIELD, "cmd", "Command is required");
    command.spec.tag = PROCESS_TAG;
    command.spec.log_lines = LOG_LINES;
    if (processes_start(call->services, &call->caller, &call->id, &command.spec, &info, &why) ==
        0) {
        command_notice_add(call, command.notice);
        return respond_started(call, 201, &info, NULL, err);
    }
    if (executor_command_is_at_fault(&why) || why.code == ERR_TOO_MANY)
        return respond_started(call, 500, NULL, why.message, err);
    *err = why;
    return executor_explain(err);
}

/* --- list */

/* The text behind `/bin/sh -c`. */
static cJSON *shown_command(const struct store_process *row)
{
    _cleanup_cjson_ cJSON *argv = row->command_json ? cJSON_Parse(row->command_json) : NULL;
    const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(argv, 2));

    return cJSON_CreateString(text ? text : "");
}

/* Clients refuse a member that they do not know: these are all. */
static cJSON *shown_process(const struct process_info *info)
{
    cJSON *shown = cJSON_CreateObject();
    char id[UUID_SIZE];

    format_uuid(&info->row.id, id);
    (void)cJSON_AddStringToObject(shown, "id", id);
    (void)cJSON_AddNumberToObject(shown, "pid", info->is_live ? info->live.pid : 0);
    (void)cJSON_AddStringToObject(shown, "status", status_of(info));
    cJSON_AddItemToObject(shown, "command", shown_command(&info->row));
    return shown;
}

int handle_executor_list_processes(struct call *call, struct error *err)
{
    const struct store_process_filter filter = {.tag = PROCESS_TAG, .limit = LIST_MAX};
    _cleanup_(process_info_list_free) struct process_info_list list = {.items = NULL};
    cJSON *body;
    cJSON *shown;
    bool more;

    if (processes_list(call->services, &call->caller, &call->id, &filter, &list, &more, err) < 0)
        return -1;
    body = cJSON_CreateObject();
    shown = cJSON_AddArrayToObject(body, "processes");
    for (size_t i = list.count; i-- > 0;) /* the oldest first; of this start of the sandbox */
        if (list.items[i].row.is_reachable)
            cJSON_AddItemToArray(shown, shown_process(&list.items[i]));
    return call_respond_json(call, 200, body, err);
}

/* --- kill */

static int respond_killed(struct call *call, struct error *err)
{
    cJSON *body = cJSON_CreateObject();

    (void)cJSON_AddBoolToObject(body, "success", true);
    (void)cJSON_AddStringToObject(body, "message", "Process killed successfully");
    return call_respond_json(call, 200, body, err);
}

static int respond_not_killed(struct call *call, const char *why, struct error *err)
{
    cJSON *body = cJSON_CreateObject();

    (void)cJSON_AddBoolToObject(body, "success", false);
    (void)cJSON_AddStringToObject(body, "error", why);
    return call_respond_json(call, 400, body, err);
}

/* The id is the client's: text of any length. */
static int respond_unknown(struct call *call, const char *id, struct error *err)
{
    _cleanup_free_ char *why = not_found(id);

    return why ? respond_not_killed(call, why, err) : error_no_memory(err);
}

static int respond_ended(struct call *call, const struct process_info *info, struct error *err)
{
    char why[64];

    (void)snprintf(why, sizeof(why), "process is not running (status: %s)", status_of(info));
    return respond_not_killed(call, why, err);
}

static bool is_missing(const struct error *error)
{
    return error->code == ERR_NOT_FOUND;
}

static int kill_running(struct call *call, const struct id *id, struct error *err)
{
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (processes_signal(call->services, &call->caller, &call->id, id, SIGKILL,
                         AGENT_SIGNAL_PROCESS, err) < 0)
        return -1;
    return processes_wait(call->services, &call->caller, &call->id, id, KILL_WAIT_MS, &info, err);
}

static int kill_process(struct call *call, const struct id *id, struct error *err)
{
    _cleanup_(process_info_free) struct process_info info = {.is_live = false};

    if (processes_get(call->services, &call->caller, &call->id, id, &info, err) < 0)
        return -1;
    if (info.row.state != PROCESS_RUNNING)
        return respond_ended(call, &info, err);
    if (kill_running(call, id, err) == 0)
        return respond_killed(call, err);
    if (err->code != ERR_CONFLICT)
        return -1;
    process_info_free(&info); /* it ended meanwhile */
    if (processes_get(call->services, &call->caller, &call->id, id, &info, err) < 0)
        return -1;
    return respond_ended(call, &info, err);
}

int handle_executor_kill_process(struct call *call, struct error *err)
{
    _cleanup_cjson_ cJSON *body = NULL;
    const char *text;
    struct id id;

    if (executor_body(call, &body, err) < 0 || executor_text(body, "id", &text, err) < 0)
        return -1;
    if (text[0] == '\0')
        return error_set_field(err, ERR_INVALID_FIELD, "id", "Process ID is required");
    if (!id_parse(text, &id))
        return respond_unknown(call, text, err);
    if (kill_process(call, &id, err) == 0)
        return 0;
    return is_missing(err) ? respond_unknown(call, text, err) : executor_explain(err);
}

/* --- logs */

static int respond_missing(struct call *call, const char *id, struct error *err)
{
    _cleanup_free_ char *why = not_found(id);

    return why ? executor_events_error(call, why, err) : error_no_memory(err);
}

int handle_executor_process_logs(struct call *call, struct error *err)
{
    struct attach_options options = {.follow = true, .tail = ATTACH_TAIL_MAX};
    char text[QUERY_ID_SIZE] = "";
    struct id id;
    int found = http_request_query_value(call->request, "id", text, sizeof(text), err);

    if (found < 0)
        return -1;
    if (text[0] == '\0')
        return error_set_field(err, ERR_INVALID_FIELD, "id", "Process ID is required");
    if (!id_parse(text, &id))
        return respond_missing(call, text, err);
    if (executor_events_follow(call, &id, EXECUTOR_EVENTS_LOG, &options, err) == 0)
        return 0;
    return is_missing(err) ? respond_missing(call, text, err) : executor_explain(err);
}
