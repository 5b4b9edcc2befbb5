/*
 * The one epoll instance. Everything is watched edge-triggered: an event is a hint that is kept
 * beside its descriptor until a call says EAGAIN.
 */
#ifndef AGENT_POLLER_H
#define AGENT_POLLER_H

#include <atoll/agent_proto.h>
#include <stdint.h>

enum poller_source {
    POLLER_LISTENER,
    POLLER_CHILD, /* the signalfd */
    POLLER_SOCKET,
    POLLER_STDIN,
    POLLER_STDOUT,
    POLLER_STDERR,
    POLLER_START, /* the pipe that tells that a program runs */
    POLLER_WATCH, /* a peer's inotify */
};

/* Indexes from here on are processes', those below peers'. */
enum { POLLER_PROCESSES = AGENT_PEERS_MAX };

/* A source of a peer or a process; the listener and the signalfd have index 0. */
struct poller_event {
    enum poller_source source;
    uint32_t index;
    uint32_t events; /* EPOLL* */
};

enum { POLLER_BATCH = 32 };

/* 0 or an errno, like the following. */
int poller_init(void);
int poller_add(int fd, enum poller_source source, uint32_t index, uint32_t events);

/* Changes what the listener waits for: EPOLLIN, or 0 while no more connections can be held. */
void poller_set_listener(int fd, uint32_t events);

/* Needed before the close of a descriptor that a child may hold a copy of. */
void poller_remove(int fd);

/* Waits at most `timeout_ms` (-1: for ever). Returns the number of events, at most POLLER_BATCH. */
int poller_wait(struct poller_event events[POLLER_BATCH], int timeout_ms);

#endif
