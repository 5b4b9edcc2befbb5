#include "server/handlers/health.h"

#include "server/services/health.h"

int handle_health(struct call *call, struct error *err)
{
    struct health health = health_check(call->services);
    bool ok = health.database && health.launcher;
    cJSON *view = cJSON_CreateObject();

    cJSON_AddStringToObject(view, "status", ok ? "ok" : "degraded");
    cJSON_AddStringToObject(view, "database", health.database ? "ok" : "away");
    cJSON_AddStringToObject(view, "launcher", health.launcher ? "ok" : "away");
    return call_respond_json(call, ok ? 200 : 503, view, err);
}
