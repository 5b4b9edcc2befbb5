/* What the services of processes share: see processes.h. */
#ifndef SERVER_SERVICES_PROCESS_AGENT_H
#define SERVER_SERVICES_PROCESS_AGENT_H

#include "server/services/processes.h"

enum {
    PROCESS_AGENT_MS = 10 * 1000, /* for an answer that nothing has to be waited for */
    PROCESS_GRACE_MS = 2 * 1000,  /* from TERM to KILL at a time limit */
};

/* When an exec is over, whatever happens: milliseconds from now. */
uint64_t process_exec_deadline_ms(const struct services *services);

/* What is wrong with a specification, whatever sandbox it is for: ERR_INVALID_FIELD (user). */
int process_check(const struct process_spec *spec, struct error *err);

/* The variables that the command starts with; freed with environment_free. */
int process_environment(const char *stored_json, const struct process_spec *spec,
                        char ***ret_environment, struct error *err);

/* Begins a command's row under a new id; see store_process_begin. */
int process_begin(struct services *services, const struct caller *caller, const struct id *sandbox,
                  const struct process_spec *spec, enum store_process_kind kind, struct id *ret_id,
                  struct store_process_place *ret_place, struct error *err);

/* The end of a command that never ran, or whose end nobody saw, as `err` tells. */
struct process_end process_end_unseen(const struct id *id, const struct error *err);

/* Records that the command of a row never ran, or that nobody saw its end; `err` stays. */
void process_abandon(struct services *services, const struct caller *caller, const struct id *id,
                     const struct error *err);

/* A program, folder or user that is not there is the caller's to put right; fails with the rest
 * as it is. */
int process_explain_failure(const struct process_spec *spec, struct error *err);

#endif
