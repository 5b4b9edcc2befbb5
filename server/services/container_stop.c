#include "server/services/container_stop.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_process.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/process_agent.h"

#include <atoll/log.h>

enum {
    MARGIN_MS = 3 * 1000, /* to die of KILL takes a crowd some time */
};

/* The main command has no row of its own, and the container's id. */
static void take_exit(const struct agent_process *processes, size_t count, const struct id *id,
                      struct container_exit *exit)
{
    const struct agent_process *command = agent_process_find(processes, count, id);

    if (command && command->state == AGENT_PROCESS_ENDED)
        *exit = (struct container_exit){
            .seen = true, .exit_code = command->exit_code, .signal = command->signal};
}

/* What cannot be recorded now stands in the logs too, where the worker finds it. */
static void record(struct services *services, const struct id *tenant, const struct id *id,
                   const struct agent_process *processes, size_t count)
{
    const struct db_scope scope = {.tenant = *tenant};
    struct error failure;
    bool found;

    for (size_t i = 0; i < count; i++) {
        const struct process_end end = agent_process_end(&processes[i], id);

        if (processes[i].state != AGENT_PROCESS_ENDED)
            continue; /* a word of the sandbox's that cannot be */
        if (store_process_end(services->db, &scope, &end, &found, &failure) < 0) {
            log_warn("the end of a process is not recorded yet: %s", failure.message);
            return;
        }
    }
}

void container_stop_begin(struct services *services, const struct id *tenant, const struct id *id,
                          uint32_t generation, uint32_t timeout_s, struct container_stop *ret_stop)
{
    int64_t deadline = monotonic_usec() + (timeout_s * INT64_C(1000) + MARGIN_MS) * 1000;
    _cleanup_free_ struct agent_process *processes = NULL;
    struct container_stop stop = {.agent = NULL};
    struct error failure;
    size_t count = 0;

    if (launcher_client_thaw(services->launcher, id, generation, &failure) == 0 &&
        launcher_client_connect_agent(services->launcher, id, generation, deadline, &stop.agent,
                                      &failure) == 0 &&
        agent_process_stop(stop.agent, timeout_s * 1000, deadline, &processes, &count, &failure) ==
            0) {
        take_exit(processes, count, id, &stop.exit);
        record(services, tenant, id, processes, count);
    } else if (failure.code != ERR_NOT_FOUND) {
        log_info("processes of a sandbox did not end by themselves: %s", failure.message);
    }
    *ret_stop = stop;
}

void container_stop_free(struct container_stop *stop)
{
    agent_client_free(stop->agent);
    stop->agent = NULL;
}
