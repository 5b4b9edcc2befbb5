#include "server/handlers/health.h"

#include "server/services/health.h"

struct health_shown {
    const char *status;
    const char *database;
    const char *launcher;
};

static const struct json_field fields[] = {
    {.name = "status",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "ok|degraded",
     .offset = offsetof(struct health_shown, status)},
    {.name = "database",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "ok|away",
     .offset = offsetof(struct health_shown, database)},
    {.name = "launcher",
     .type = JSON_TYPE_STRING,
     .required = true,
     .choices = "ok|away",
     .offset = offsetof(struct health_shown, launcher)},
};
const struct json_table health_table = JSON_TABLE("Health", fields);

int handle_health(struct call *call, struct error *err)
{
    struct health health = health_check(call->services);
    bool ok = health.database && health.launcher;
    struct health_shown shown = {
        .status = ok ? "ok" : "degraded",
        .database = health.database ? "ok" : "away",
        .launcher = health.launcher ? "ok" : "away",
    };

    return call_respond_json(call, ok ? 200 : 503, json_encode(&health_table, &shown), err);
}
