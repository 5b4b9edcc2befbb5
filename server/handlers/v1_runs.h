/* POST /v1/runs (docs/api/runs.md): code and files in, its result out, nothing left. */
#ifndef SERVER_HANDLERS_V1_RUNS_H
#define SERVER_HANDLERS_V1_RUNS_H

#include "server/handlers/call.h"

extern const struct json_table v1_run_table;

int handle_v1_run(struct call *call, struct error *err);

#endif
