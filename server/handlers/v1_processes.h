/*
 * The handlers of /v1/sandboxes/{id}/processes and …/exec (docs/api/processes.md), and the tables
 * that their routes are described by.
 */
#ifndef SERVER_HANDLERS_V1_PROCESSES_H
#define SERVER_HANDLERS_V1_PROCESSES_H

#include "server/handlers/call.h"
#include "server/services/attach.h"

extern const struct json_table v1_process_start_table;
extern const struct json_table v1_process_list_query;
extern const struct json_table v1_process_signal_table;
extern const struct json_table v1_process_resize_table;
extern const struct json_table v1_process_stdin_query;
extern const struct json_table v1_process_wait_query;
extern const struct json_table v1_process_logs_query;
extern const struct json_table v1_exec_table;
extern const struct json_table v1_exec_socket_query;
extern const struct json_table v1_attach_query;

extern const struct json_table v1_process_table;
extern const struct json_table v1_process_page_table;
extern const struct json_table v1_exec_result_table;

int handle_v1_process_start(struct call *call, struct error *err);
int handle_v1_process_list(struct call *call, struct error *err);
int handle_v1_process_get(struct call *call, struct error *err);
int handle_v1_process_signal(struct call *call, struct error *err);
int handle_v1_process_stdin(struct call *call, struct error *err);
int handle_v1_process_resize(struct call *call, struct error *err);
int handle_v1_process_wait(struct call *call, struct error *err);
int handle_v1_process_logs(struct call *call, struct error *err);
int handle_v1_main_logs(struct call *call, struct error *err);
int handle_v1_exec(struct call *call, struct error *err);

/* The answer to a retry of an exec with the same Idempotency-Key whose first one was not kept, as
 * events never are. call->ids[1] is the process. */
int handle_v1_exec_again(struct call *call, struct error *err);
int handle_v1_exec_socket(struct call *call, struct error *err);
int handle_v1_process_attach(struct call *call, struct error *err);

/* What the target of a signal is called; NULL: the default. */
enum agent_signal_target v1_process_signal_target(const char *word);

#endif
