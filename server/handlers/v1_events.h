/* GET /v1/events: the log, in pages or as a stream of server-sent events (docs/api/events.md). */
#ifndef SERVER_HANDLERS_V1_EVENTS_H
#define SERVER_HANDLERS_V1_EVENTS_H

#include "server/handlers/call.h"

extern const struct json_table event_query_table;
extern const struct json_table event_table;
extern const struct json_table event_page_table;

int handle_event_list(struct call *call, struct error *err);

#endif
