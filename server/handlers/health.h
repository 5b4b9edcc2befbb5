/* GET /health: whether this server could take a create now. */
#ifndef SERVER_HANDLERS_HEALTH_H
#define SERVER_HANDLERS_HEALTH_H

#include "server/handlers/call.h"

extern const struct json_table health_table;

/* 200 {"status":"ok",...}; 503 with "degraded" while PostgreSQL or the launcher is away. */
int handle_health(struct call *call, struct error *err);

#endif
