/*
 * Who starts sandboxes: by tenant, the starts that are under way and the time of the last one, and
 * from these the share of the node that each tenant has now. Not thread-safe: the admission's lock
 * is over it.
 *
 * A tenant shares the node with those that start something, or did a moment ago: one that starts
 * again and again, with pauses between, finds its part free each time.
 */
#ifndef SERVER_SERVICES_STARTERS_H
#define SERVER_SERVICES_STARTERS_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <stddef.h>
#include <stdint.h>

struct starter {
    struct id tenant;
    unsigned under_way;
    int64_t used_usec; /* when it had one under way last, monotonic */
};

struct starters {
    struct starter *items;
    size_t count;
    size_t room;
};

/* `most` starts can be under way at once, of as many tenants. */
int starters_init(struct starters *starters, size_t most, struct error *err);

void starters_done(struct starters *starters);

unsigned starters_under_way(const struct starters *starters, const struct id *tenant);

/* How many of `starting` starts at once the tenant may have, one at least, when those count that
 * started something within the last `recent_usec`. */
unsigned starters_share(const struct starters *starters, const struct id *tenant, unsigned starting,
                        int64_t recent_usec, int64_t now_usec);

/* One more is under way. Tenants that started nothing for longest are forgotten for it. */
void starters_begin(struct starters *starters, const struct id *tenant, int64_t now_usec);

/* One that began is over. */
void starters_end(struct starters *starters, const struct id *tenant, int64_t now_usec);

#endif
