/*
 * One execution of a stored sandbox: admission, a fresh native sandbox, the agent, its end and its
 * record (docs/architecture.md, "An execution"). Blocking; called on a request's thread.
 */
#ifndef SERVER_SERVICES_EXECUTION_H
#define SERVER_SERVICES_EXECUTION_H

#include "server/services/command_policies.h"
#include "server/services/services.h"

#include <atoll/id.h>
#include <atoll/sandbox.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the time of an execution went. */
struct execution_stages {
    int64_t begin_usec;   /* PostgreSQL: admission, definition */
    int64_t create_usec;  /* launcher: from nothing to a listening agent */
    int64_t run_usec;     /* agent: files, command, output */
    int64_t destroy_usec; /* launcher: until nothing is left */
    int64_t record_usec;  /* PostgreSQL: the durable end */
};

/* Owned by the caller: execution_result_free. */
struct execution_result {
    char *out;
    size_t out_size;
    char *err;
    size_t err_size;
    bool exited; /* with exit_code; else `signal` ended it, or nobody saw its end (oom of the agent)
                  */
    int exit_code;
    int signal;
    bool timed_out;
    bool oom_killed;
    bool truncated;
    bool recorded; /* false: PostgreSQL is away, the record follows when it is back */
    int64_t wall_usec;
    struct execution_stages stages;
    char policy_notice[COMMAND_NOTICE_SIZE]; /* what the command policy warns of, or "" */
};

/*
 * Runs the sandbox's definition in a fresh environment. Fails with ERR_TOO_MANY, ERR_NOT_FOUND,
 * ERR_RUNTIME_MISSING, ERR_COMMAND, ERR_UNAVAILABLE, ERR_INVALID_FIELD (a file that cannot be
 * written) or ERR_INTERNAL; whatever happens, no environment is left.
 */
int execution_run(struct services *services, const struct caller *caller, const struct id *sandbox,
                  struct execution_result *ret_result, struct error *err);

/* What is run once. Borrowed for the call. */
struct execution_once {
    const struct sandbox_definition *definition;
    const char *stdin_data; /* NULL: the code reads /dev/null */
    size_t stdin_size;
    const struct id *project; /* NULL: the caller's, or the tenant's default one */
};

/*
 * Runs a definition that is not stored, in a fresh environment of which nothing is left. The
 * execution is recorded under *ret_id. Fails as execution_run does, and with ERR_NOT_FOUND (field
 * project_id).
 */
int execution_run_once(struct services *services, const struct caller *caller,
                       const struct execution_once *once, struct id *ret_id,
                       struct execution_result *ret_result, struct error *err);

void execution_result_free(struct execution_result *result);

#endif
