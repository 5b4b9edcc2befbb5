/*
 * Admission: at most N executions on this node at once. Over it the caller is told so at once,
 * never queued: a queue would only move the wait to where nobody sees it. Thread-safe.
 */
#ifndef SERVER_SERVICES_ADMISSION_H
#define SERVER_SERVICES_ADMISSION_H

#include <atoll/error.h>
#include <stdatomic.h>

struct admission {
    unsigned limit;
    atomic_uint used;
};

/* Takes one place, or fails with ERR_TOO_MANY that names limit and use. */
int admission_enter(struct admission *admission, struct error *err);

/* Gives the place back. */
void admission_leave(struct admission *admission);

#endif
