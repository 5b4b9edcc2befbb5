/*
 * The op table: what each request does. A handler either fills the answer, or leaves a sandbox in
 * a phase whose end answers the client (clients.h).
 */
#ifndef LAUNCHER_OPS_H
#define LAUNCHER_OPS_H

#include "launcher/launcher.h"

#include <atoll/launcher_proto.h>

struct launcher_answer {
    struct launcher_reply reply;
    struct launcher_entry entries[LAUNCHER_LIST_PAGE];
};

enum ops_result { OPS_ANSWERED, OPS_WAITS };

/* Runs a request that launcher_request_check accepted. */
enum ops_result ops_run(struct launcher *launcher, const struct launcher_request *request,
                        struct launcher_answer *answer);

/* True while a sandbox other than `gone` that this destroy means is on its way out. */
bool ops_destroy_pending(const struct launcher *launcher, const struct launcher_request *request,
                         const struct sandbox *gone);

#endif
