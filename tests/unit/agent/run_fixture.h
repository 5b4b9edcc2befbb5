/* Commands for the tests of the agent: one run at a time on a connection of its own. */
#ifndef TESTS_UNIT_AGENT_RUN_FIXTURE_H
#define TESTS_UNIT_AGENT_RUN_FIXTURE_H

#include "tests/unit/agent/agent_fixture.h"

struct run {
    struct agent_client *client;
    struct agent_exec_request request;
    struct agent_exec_result result;
    struct error err;
};

/* As user nobody in "/" of the group's agent, with PATH, 1 MiB of output and KILL_LEFTOVERS. */
struct run run_begin(void **state);
void run_end(struct run *run);

/* Runs argv; the result of the run before is freed. */
int run_execute(struct run *run, const char *const *argv);

/* Runs `sh -c script`, which must start. */
void run_shell(struct run *run, const char *script);

#endif
