#include "tests/unit/agent/run_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct run run_begin(void **state)
{
    static const char *const environment[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};

    return (struct run){
        .client = agent_fixture_connect(agent_group(state)),
        .request = {.env = environment,
                    .cwd = "/",
                    .user = "65534:65534",
                    .grace_ms = 200,
                    .max_output = 1 << 20,
                    .kill_leftovers = true},
    };
}

void run_end(struct run *run)
{
    agent_exec_result_free(&run->result);
    agent_client_free(run->client);
}

int run_execute(struct run *run, const char *const *argv)
{
    agent_exec_result_free(&run->result);
    run->request.argv = argv;
    return agent_client_exec(run->client, &run->request, agent_fixture_deadline(), &run->result,
                             &run->err);
}

void run_shell(struct run *run, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};

    if (run_execute(run, argv) < 0)
        fail_msg("%s: %s", script, run->err.message);
}
