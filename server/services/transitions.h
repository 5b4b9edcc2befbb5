/*
 * Which containers are changing their state right now in this server: one change of a container at
 * a time, so that what the launcher is told comes in the order of what the database says. A second
 * one is refused, never queued: it could only act on a state that its caller has not seen.
 * Thread-safe.
 */
#ifndef SERVER_SERVICES_TRANSITIONS_H
#define SERVER_SERVICES_TRANSITIONS_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <pthread.h>
#include <stddef.h>

struct transitions {
    pthread_mutex_t lock; /* over everything below */
    struct id *busy;
    size_t count;
    size_t capacity;
};

void transitions_init(struct transitions *transitions);
void transitions_done(struct transitions *transitions);

/* ERR_CONFLICT when the container's state is being changed. */
int transitions_enter(struct transitions *transitions, const struct id *id, struct error *err);

void transitions_leave(struct transitions *transitions, const struct id *id);

#endif
