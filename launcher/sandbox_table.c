#include "launcher/sandbox_table.h"

#include <atoll/cleanup.h>
#include <stdlib.h>
#include <string.h>

void sandbox_table_init(struct sandbox_table *table, uint32_t uid_base)
{
    /* The last uid, 2^32 - 1, stands for "no uid" in the kernel. */
    uint32_t fit = (UINT32_MAX - uid_base) / SANDBOX_UIDS;

    memset(table, 0, sizeof(*table));
    table->slots = fit < SANDBOX_SLOTS ? fit : SANDBOX_SLOTS;
}

static void link_first(struct sandbox_table *table, struct sandbox *sandbox, const struct id *id,
                       uint32_t generation)
{
    sandbox->id = *id;
    sandbox->generation = generation;
    sandbox_name_format(id, generation, sandbox->name);
    sandbox->next = table->first;
    table->first = sandbox;
}

/* False when it is not in the table. */
static bool unlink_entry(struct sandbox_table *table, const struct sandbox *sandbox)
{
    struct sandbox **link = &table->first;

    while (*link && *link != sandbox)
        link = &(*link)->next;
    if (!*link)
        return false;
    *link = sandbox->next;
    return true;
}

struct sandbox *sandbox_table_add(struct sandbox_table *table, const struct id *id,
                                  uint32_t generation)
{
    struct sandbox *sandbox = calloc(1, sizeof(*sandbox));

    if (!sandbox)
        return NULL;
    sandbox->slot = SANDBOX_NO_SLOT;
    sandbox->pidfd = (struct source){SOURCE_PIDFD, -1, sandbox};
    sandbox->status = (struct source){SOURCE_STATUS, -1, sandbox};
    sandbox->events = (struct source){SOURCE_EVENTS, -1, sandbox};
    link_first(table, sandbox, id, generation);
    table->count++;
    return sandbox;
}

void sandbox_table_rename(struct sandbox_table *table, struct sandbox *sandbox, const struct id *id,
                          uint32_t generation)
{
    if (unlink_entry(table, sandbox))
        link_first(table, sandbox, id, generation);
}

void sandbox_table_remove(struct sandbox_table *table, struct sandbox *sandbox)
{
    if (!unlink_entry(table, sandbox))
        return;
    table->count--;
    if (sandbox->phase == SANDBOX_EXITED)
        table->exited--;
    sandbox_slot_free(table, &sandbox->slot);
    cleanup_close(&sandbox->pidfd.fd);
    cleanup_close(&sandbox->status.fd);
    cleanup_close(&sandbox->events.fd);
    free(sandbox);
}

struct sandbox *sandbox_table_find(const struct sandbox_table *table, const struct sandbox *after,
                                   const struct id *id, uint32_t generation)
{
    for (struct sandbox *s = after ? after->next : table->first; s; s = s->next)
        if (id_equal(&s->id, id) && (generation == 0 || s->generation == generation))
            return s;
    return NULL;
}

struct sandbox *sandbox_table_find_running(const struct sandbox_table *table, const struct id *id,
                                           uint32_t generation)
{
    struct sandbox *found = sandbox_table_find(table, NULL, id, generation);

    while (found && found->phase == SANDBOX_EXITED)
        found = sandbox_table_find(table, found, id, generation);
    return found;
}

int sandbox_slot_take(struct sandbox_table *table, uint32_t *ret_slot)
{
    for (uint32_t word = 0; word * 64 < table->slots; word++) {
        uint32_t slot;

        if (table->used[word] == UINT64_MAX)
            continue;
        slot = word * 64 + (uint32_t)__builtin_ctzll(~table->used[word]);
        return slot < table->slots ? sandbox_slot_claim(table, slot, ret_slot) : -1;
    }
    return -1;
}

int sandbox_slot_claim(struct sandbox_table *table, uint32_t slot, uint32_t *ret_slot)
{
    uint64_t bit = 1ull << (slot % 64);

    if (slot >= table->slots || (table->used[slot / 64] & bit))
        return -1;
    table->used[slot / 64] |= bit;
    *ret_slot = slot;
    return 0;
}

void sandbox_slot_free(struct sandbox_table *table, uint32_t *slot)
{
    if (*slot == SANDBOX_NO_SLOT)
        return;
    table->used[*slot / 64] &= ~(1ull << (*slot % 64));
    *slot = SANDBOX_NO_SLOT;
}

void sandbox_table_exited(struct sandbox_table *table, struct sandbox *sandbox)
{
    sandbox->phase = SANDBOX_EXITED;
    table->exited++;
}

/* New entries go to the front, so the last one found is the oldest. */
static struct sandbox *oldest_exited(const struct sandbox_table *table)
{
    struct sandbox *oldest = NULL;

    for (struct sandbox *s = table->first; s; s = s->next)
        if (s->phase == SANDBOX_EXITED)
            oldest = s;
    return oldest;
}

void sandbox_table_trim(struct sandbox_table *table)
{
    while (table->exited > SANDBOX_EXITED_MAX)
        sandbox_table_remove(table, oldest_exited(table));
}
