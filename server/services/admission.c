#include "server/services/admission.h"

int admission_enter(struct admission *admission, struct error *err)
{
    unsigned used = atomic_load(&admission->used);

    do {
        if (used >= admission->limit)
            return error_set(err, ERR_TOO_MANY,
                             "%u of %u executions are running (sandbox.max_concurrent_sandboxes)",
                             used, admission->limit);
    } while (!atomic_compare_exchange_weak(&admission->used, &used, used + 1));
    return 0;
}

void admission_leave(struct admission *admission)
{
    atomic_fetch_sub(&admission->used, 1);
}
