#include "lib/db/turns.h"

#include <stddef.h>

void db_turns_init(struct db_turns *turns)
{
    turns->round = 0;
    TAILQ_INIT(&turns->waiting);
}

/* The round behind the tenant's last one, or behind the one that is being served. */
static uint64_t next_round(const struct db_turns *turns, const struct id *tenant)
{
    const struct db_turn *other;

    TAILQ_FOREACH_REVERSE(other, &turns->waiting, db_turn_list, link)
    if (id_equal(&other->tenant, tenant))
        return other->round + 1;
    return turns->round + 1;
}

void db_turns_add(struct db_turns *turns, struct db_turn *turn)
{
    struct db_turn *before = TAILQ_LAST(&turns->waiting, db_turn_list);

    turn->round = next_round(turns, &turn->tenant);
    while (before && before->round > turn->round)
        before = TAILQ_PREV(before, db_turn_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&turns->waiting, before, turn, link);
    else
        TAILQ_INSERT_HEAD(&turns->waiting, turn, link);
}

struct db_turn *db_turns_first(struct db_turns *turns)
{
    return TAILQ_FIRST(&turns->waiting);
}

struct db_turn *db_turns_take(struct db_turns *turns)
{
    struct db_turn *turn = db_turns_first(turns);

    if (turn) {
        turns->round = turn->round;
        TAILQ_REMOVE(&turns->waiting, turn, link);
    }
    return turn;
}

void db_turns_remove(struct db_turns *turns, struct db_turn *turn)
{
    TAILQ_REMOVE(&turns->waiting, turn, link);
}
