/*
 * Admission to this node's processor: starts of sandboxes wait for their turn here, so that one
 * tenant's burst delays another's start by one start, not by all of them. At most `starting` have
 * their turn at once. A turn covers the start and the first `turn_ms` of what was started, because
 * most commands are done by then: so short ones do not get into each other's way. Executions also
 * hold one of the `running` places until their end.
 *
 * Tenants that start something share the turns, in equal parts and one at least; a tenant that has
 * none finds one of `spare` more, so that it need not wait for others' turns to end. Where that is
 * not enough, turns go round by tenant: who waits gets a round, one later than its tenant's last,
 * and rounds are served in order. Waits are bounded in time, and in number: when too many wait, the
 * last of the longest queue gives way. What is given way or waits too long gets ERR_TOO_MANY.
 * Thread-safe.
 */
#ifndef SERVER_SERVICES_ADMISSION_H
#define SERVER_SERVICES_ADMISSION_H

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <atoll/id.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct admission;

struct admission_limits {
    unsigned starting; /* at once */
    unsigned spare;    /* beyond these, for tenants that have none under way */
    unsigned share_ms; /* so long after its last start a tenant's share is kept for it */
    unsigned running;  /* executions at once */
    unsigned held;     /* executions and waits together: each holds a request's thread */
    unsigned turn_ms;
    unsigned wait_ms;
};

/* What a request holds; zeroed it holds nothing. It may not move while it does. */
struct admission_ticket {
    struct id tenant;
    bool starting;
    bool running;
    bool timed;  /* the sandbox is there: the turn has an end */
    int64_t end; /* of the turn, monotonic microseconds */
    TAILQ_ENTRY(admission_ticket) link;
};

int admission_open(const struct admission_limits *limits, struct admission **ret_admission,
                   struct error *err);

/* When nobody waits any more. NULL is allowed. */
void admission_close(struct admission *admission);

DEFINE_CLEANUP(struct admission *, admission, admission_close)
#define _cleanup_admission_ _cleanup_(cleanup_admission)

/* Waits for the turn of a start, and with `run` for a place; ERR_TOO_MANY with limit and use. */
int admission_enter(struct admission *admission, const struct id *tenant, bool run,
                    struct admission_ticket *ret_ticket, struct error *err);

/* The sandbox is there: the turn ends by itself, or before by one of the two below. */
void admission_started(struct admission *admission, struct admission_ticket *ticket);

/* The work is done, or waits: the next may start. The place stays. */
void admission_yield(struct admission *admission, struct admission_ticket *ticket);

/* Gives back all that the ticket holds. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket);

/* How many wait now. */
unsigned admission_waiting(struct admission *admission);

#endif
