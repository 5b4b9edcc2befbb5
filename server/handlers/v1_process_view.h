/* What the API shows of processes: JSON objects, the caller's; NULL when memory is short. */
#ifndef SERVER_HANDLERS_V1_PROCESS_VIEW_H
#define SERVER_HANDLERS_V1_PROCESS_VIEW_H

#include "server/handlers/v1_processes.h"

cJSON *v1_process_view(const struct process_info *info);
cJSON *v1_exec_result_view(const struct process_result *result);

/* A part of a stream of server-sent events; an attach_format, like the next two. */
char *v1_process_event(const struct attach_part *part, size_t *ret_size);

/* A line of JSON. */
char *v1_process_line(const struct attach_part *part, size_t *ret_size);

/* A message of a WebSocket: JSON, or, of output, the stream (1 byte), the offset (8 bytes, the
 * highest first) and the bytes. */
char *v1_process_message(const struct attach_part *part, size_t *ret_size);

/* A message that another one was refused. */
char *v1_process_refusal(const struct error *error, size_t *ret_size);

/* The bytes alone. */
char *v1_process_bytes(const struct attach_part *part, size_t *ret_size);

#endif
