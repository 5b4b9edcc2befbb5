/*
 * The connections: each carries one operation at a time, all of them move on side by side. A peer's
 * memory is mapped at its accept and unmapped at its end; what it may hold is bounded by its type.
 *
 * A peer that breaks the protocol or goes away loses its connection; a command that it had started
 * is killed, its unfinished file is removed. Nothing else notices.
 */
#ifndef AGENT_PEER_H
#define AGENT_PEER_H

#include "agent/poller.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* 0 or an errno. */
int peers_init(void);

/* True while no more connections can be held. */
bool peers_full(void);

/* Takes one connection off the listener. */
void peers_accept(int listen_fd);

/* Notes an event; it is acted on by peers_run. */
void peers_event(const struct poller_event *event);

/* A child was reaped; it may or may not be a command of a peer. */
void peers_child_exited(pid_t pid, int status, const struct rusage *usage);

/*
 * Lets every peer do what it can without waiting, within a turn's budget. Returns the milliseconds
 * until there is something to do without an event: 0 now, -1 never.
 */
int peers_run(void);

#endif
