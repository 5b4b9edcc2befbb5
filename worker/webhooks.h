/*
 * The worker's thread that delivers webhooks: turns events into deliveries, claims what is due and
 * sends it. A thread of its own, with a connection of its own, because a delivery waits for
 * somebody else's server and the tasks wait for ours.
 *
 * Several workers share the work: the database gives each delivery to one of them. What is logged
 * is that the work has to wait, and that it goes on; a failed delivery is for its tenant to see.
 */
#ifndef WORKER_WEBHOOKS_H
#define WORKER_WEBHOOKS_H

#include <atoll/cleanup.h>
#include <atoll/config.h>
#include <atoll/error.h>

struct webhooks;

/* Starts the thread. The configuration's values are copied. Signals must be blocked already. */
int webhooks_start(const struct config *config, struct webhooks **ret_webhooks, struct error *err);

/* Gives back what is under way, ends the thread and frees. NULL is allowed. */
void webhooks_stop(struct webhooks *webhooks);

DEFINE_CLEANUP(struct webhooks *, webhooks, webhooks_stop)

#endif
