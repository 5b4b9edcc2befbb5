/*
 * The kinds of events: what a webhook can ask for, and what docs/api/events.md explains. The
 * statements that write events name their kinds themselves; a test holds that each of them is here.
 */
#ifndef ATOLL_EVENT_H
#define ATOLL_EVENT_H

/* What kinds begin with, before the dot. FIRST is there for lists that need commas in between. */
#define EVENT_FAMILIES(FIRST, NEXT)                                                                \
    FIRST("admin")                                                                                 \
    NEXT("admission")                                                                              \
    NEXT("auth")                                                                                   \
    NEXT("process")                                                                                \
    NEXT("project")                                                                                \
    NEXT("quota")                                                                                  \
    NEXT("run")                                                                                    \
    NEXT("sandbox")                                                                                \
    NEXT("tenant")                                                                                 \
    NEXT("webhook")

#define EVENT_KINDS(X)                                                                             \
    X("admin.api_key_created")                                                                     \
    X("admin.api_key_revoked")                                                                     \
    X("admission.refused")                                                                         \
    X("auth.failed")                                                                               \
    X("auth.forbidden")                                                                            \
    X("auth.token_made")                                                                           \
    X("process.started")                                                                           \
    X("process.ended")                                                                             \
    X("project.created")                                                                           \
    X("project.changed")                                                                           \
    X("project.deleted")                                                                           \
    X("quota.changed")                                                                             \
    X("run.started")                                                                               \
    X("run.ended")                                                                                 \
    X("run.lost")                                                                                  \
    X("sandbox.created")                                                                           \
    X("sandbox.creating")                                                                          \
    X("sandbox.running")                                                                           \
    X("sandbox.paused")                                                                            \
    X("sandbox.stopped")                                                                           \
    X("sandbox.failed")                                                                            \
    X("sandbox.deleting")                                                                          \
    X("sandbox.deleted")                                                                           \
    X("sandbox.ended")                                                                             \
    X("sandbox.updated")                                                                           \
    X("sandbox.files")                                                                             \
    X("tenant.created")                                                                            \
    X("tenant.changed")                                                                            \
    X("tenant.deleted")                                                                            \
    X("webhook.created")                                                                           \
    X("webhook.changed")                                                                           \
    X("webhook.deleted")                                                                           \
    X("webhook.retried")

#endif
