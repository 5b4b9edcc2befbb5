/*
 * Bodies that name a command: decoded and checked by tables. The specification points into the
 * body's JSON and into this struct, which is freed with v1_process_request_done.
 */
#ifndef SERVER_HANDLERS_V1_PROCESS_REQUEST_H
#define SERVER_HANDLERS_V1_PROCESS_REQUEST_H

#include "server/handlers/v1_processes.h"

enum {
    PROCESS_TAG_MAX = 255,
    PROCESS_TERMINAL_SIDE_MAX = 10000, /* rows, or columns */
};

/* An exec's stream keeps more of its log than others: its reader is there from the beginning. */
#define V1_EXEC_LOG_BYTES (UINT64_C(64) << 20)
enum { V1_EXEC_LOG_LINES = 1000 * 1000 };

struct v1_process_request {
    struct process_spec spec;
    const char *stdin_text; /* of an exec, like the next; NULL: none */
    const char *stdin_base64;
    cJSON *body;
    cJSON *arguments; /* what spec.argv points into */
    const char **argv;
    char *command_json;
    char policy_notice[COMMAND_NOTICE_SIZE]; /* of spec; "" when there is nothing to tell */
};

/* Decodes the body of POST …/processes. */
int v1_process_request_start(struct call *call, struct v1_process_request *ret_request,
                             struct error *err);

/* Decodes a body of POST …/processes that came in another way; it is the request's, also on
 * failure. */
int v1_process_request_of(cJSON *body, struct v1_process_request *ret_request, struct error *err);

/* Decodes the body of POST …/exec. */
int v1_process_request_exec(struct call *call, struct v1_process_request *ret_request,
                            struct error *err);

/* Accepts a zeroed request. */
void v1_process_request_done(struct v1_process_request *request);

/* What SIG may stand before, as sigabbrev_np(3) has them; upper and lower case are the same. */
#define V1_SIGNAL_NAMES                                                                            \
    "HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|" \
    "TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|POLL|PWR|SYS"

/* A signal: its name with or without SIG, or its number. ERR_INVALID_FIELD (signal) for any other
 * value, ERR_MISSING_FIELD for NULL. */
int v1_process_request_signal(const cJSON *value, int *ret_signal, struct error *err);

#endif
