/*
 * Who is next for a connection of the pool: tenants take turns, so that a tenant with many requests
 * waits for itself and not others for it. Internal to lib/db; the pool's lock is over it.
 *
 * Each waiting request has a round. Those of one tenant have different ones, one after the other;
 * rounds are served in order, and in a round the one that came first. A tenant's next request thus
 * waits for at most one of each other tenant.
 */
#ifndef LIB_DB_TURNS_H
#define LIB_DB_TURNS_H

#include <atoll/id.h>
#include <stdint.h>
#include <sys/queue.h>

/* One that waits; embedded in what the caller keeps of it. */
struct db_turn {
    struct id tenant;
    uint64_t round;
    TAILQ_ENTRY(db_turn) link;
};

struct db_turns {
    uint64_t round; /* of the one served last */
    TAILQ_HEAD(db_turn_list, db_turn) waiting;
};

void db_turns_init(struct db_turns *turns);

/* Puts in one whose `tenant` is set; it stays where it is until it is taken or removed. */
void db_turns_add(struct db_turns *turns, struct db_turn *turn);

/* The next, which stays; NULL when nobody waits. */
struct db_turn *db_turns_first(struct db_turns *turns);

/* Takes out the next; NULL when nobody waits. */
struct db_turn *db_turns_take(struct db_turns *turns);

/* Takes out one that waits no longer. */
void db_turns_remove(struct db_turns *turns, struct db_turn *turn);

#endif
