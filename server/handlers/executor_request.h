/*
 * The bodies of the executor dialect: one JSON object whatever Content-Type says, in which members
 * that nobody knows are passed over. ERR_BAD_REQUEST for what is not such an object, or has a
 * member of another type.
 */
#ifndef SERVER_HANDLERS_EXECUTOR_REQUEST_H
#define SERVER_HANDLERS_EXECUTOR_REQUEST_H

#include "server/handlers/call.h"
#include "server/handlers/command_rules.h"
#include "server/services/processes.h"

/* Reads the body; the result is the caller's. */
int executor_body(struct call *call, cJSON **ret_body, struct error *err);

/* A member that is a text, "" when it is not there; it belongs to the body. */
int executor_text(const cJSON *body, const char *name, const char **ret_text, struct error *err);

/* A command as the bodies of run, run_streaming and start_process name it. */
struct executor_command {
    const char *text; /* for /bin/sh -c; "" is one that does nothing */
    struct process_spec spec;
    const char *argv[4];
    char *cwd; /* absolute; NULL: none was named */
    char *command_json;
    cJSON *body;
    char notice[COMMAND_NOTICE_SIZE]; /* what the project's policy warns of, or "" */
};

/* Reads a command and looks whether its folder is there: ERR_INVALID_FIELD when it is not. */
int executor_command_read(struct call *call, struct executor_command *ret_command,
                          struct error *err);

/* True for an error that says that the command itself could not be started. */
bool executor_command_is_at_fault(const struct error *error);

/* Accepts a zeroed command. */
void executor_command_done(struct executor_command *command);

#endif
