#include "server/services/file_search.h"

#include "lib/base/util.h"
#include "lib/db/store_container.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/process_agent.h"
#include "server/services/waits.h"

#include <atoll/container.h>

/* For the answer, beyond the time that the search itself may take. */
enum { ANSWER_USEC = 30 * 1000 * 1000 };

int file_search(struct services *services, const struct caller *caller, const struct id *id,
                const struct agent_search_request *request, struct agent_matches *ret_matches,
                struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    _cleanup_agent_client_ struct agent_client *client = NULL;
    _cleanup_wait_ struct wait_place place = {.places = NULL};
    int64_t deadline = monotonic_usec() + request->timeout_ms * INT64_C(1000) + ANSWER_USEC;
    struct db_scope scope = caller_scope(caller);

    if (wait_enter(services, caller, &place, err) < 0 ||
        store_container_use(services->db, &scope, id, false, &record, err) < 0)
        return -1;
    if (record.state != SANDBOX_RUNNING)
        return error_set(err, ERR_CONFLICT, "the sandbox is %s: its files cannot be reached",
                         sandbox_state_name(record.state));
    if (launcher_client_connect_agent(services->launcher, &record.id, record.generation, deadline,
                                      &client, err) < 0)
        return -1;
    return agent_search(client, request, deadline, ret_matches, err);
}
