/*
 * The log of events for callers: pages, and streams that go on with what happens.
 *
 * One thread follows the log for all streams. It looks twice a second while there is a stream, and
 * not at all else: a NOTIFY at each event would make every commit of the service take the one lock
 * of PostgreSQL's notification queue.
 */
#ifndef SERVER_SERVICES_EVENTS_H
#define SERVER_SERVICES_EVENTS_H

#include "lib/db/store_event.h"
#include "server/services/services.h"

struct event_follower;
struct stream;

/* Starts the thread. `services` must outlive it. */
int event_follower_start(struct services *services, struct event_follower **ret_follower,
                         struct error *err);

/* Stops it; its streams are broken. NULL is allowed. */
void event_follower_stop(struct event_follower *follower);

/* At most `limit`; when *ret_more, others may be before *ret_next. The caller frees them. */
int events_list(struct services *services, const struct caller *caller,
                const struct store_event_filter *filter, const struct store_event_place *before,
                uint32_t limit, struct store_events *ret_events, bool *ret_more,
                struct store_event_place *ret_next, struct error *err);

/* An event as it stands in a stream, allocated; NULL when memory is short. */
typedef char *(*event_format)(const struct store_event *event);

/*
 * Makes a stream of what happens from `after` (NULL: from now) on. The stream is the caller's, with
 * a guard; the follower has a reference of its own. A client that reads slower than events happen
 * gets them later, and none twice.
 */
int events_follow(struct services *services, const struct caller *caller,
                  const struct store_event_filter *filter, const struct store_event_place *after,
                  event_format format, struct stream **ret_stream, struct error *err);

#endif
