/*
 * The executor dialect (docs/api/executor.md): one sandbox as its container's own executor shows
 * it. The sandbox is the one whose secret came, `call->id`.
 */
#ifndef SERVER_HANDLERS_EXECUTOR_H
#define SERVER_HANDLERS_EXECUTOR_H

#include "server/handlers/call.h"

/* Answers an error in the form of the dialect: a line of text. */
void executor_respond_error(struct http_request *request, const struct error *error);

int handle_executor_health(struct call *call, struct error *err);

int handle_executor_run(struct call *call, struct error *err);
int handle_executor_run_streaming(struct call *call, struct error *err);

int handle_executor_start_process(struct call *call, struct error *err);
int handle_executor_list_processes(struct call *call, struct error *err);
int handle_executor_kill_process(struct call *call, struct error *err);
int handle_executor_process_logs(struct call *call, struct error *err);

int handle_executor_write_file(struct call *call, struct error *err);
int handle_executor_read_file(struct call *call, struct error *err);
int handle_executor_delete_file(struct call *call, struct error *err);
int handle_executor_delete_dir(struct call *call, struct error *err);
int handle_executor_make_dir(struct call *call, struct error *err);
int handle_executor_list_dir(struct call *call, struct error *err);

/* bind_port and unbind_port: there is nothing yet that a port could be bound to. */
int handle_executor_port(struct call *call, struct error *err);

#endif
