/*
 * This node's reports to PostgreSQL: a thread says every few seconds that the server is there, what
 * the machine has, and how many sandboxes live on it.
 */
#ifndef SERVER_SERVICES_NODE_H
#define SERVER_SERVICES_NODE_H

#include "server/services/services.h"

struct node_reporter;

/* Reports at once and from then on. `services` must live as long. */
int node_reporter_start(const struct services *services, struct node_reporter **ret_reporter,
                        struct error *err);

/* NULL is allowed. */
void node_reporter_stop(struct node_reporter *reporter);

#endif
