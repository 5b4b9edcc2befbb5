#include "server/services/starters.h"

#include <errno.h>
#include <stdlib.h>

/* Tenants that are remembered beside those with a start under way. */
enum { REMEMBERED = 64 };

int starters_init(struct starters *starters, size_t most, struct error *err)
{
    *starters = (struct starters){.room = most + REMEMBERED};
    starters->items = calloc(starters->room, sizeof(*starters->items));
    return starters->items ? 0 : error_set_errno(err, ENOMEM, "cannot make the table of starts");
}

void starters_done(struct starters *starters)
{
    free(starters->items);
    *starters = (struct starters){.items = NULL};
}

static struct starter *find(const struct starters *starters, const struct id *tenant)
{
    for (size_t i = 0; i < starters->count; i++)
        if (id_equal(&starters->items[i].tenant, tenant))
            return &starters->items[i];
    return NULL;
}

unsigned starters_under_way(const struct starters *starters, const struct id *tenant)
{
    const struct starter *starter = find(starters, tenant);

    return starter ? starter->under_way : 0;
}

unsigned starters_share(const struct starters *starters, const struct id *tenant, unsigned starting,
                        int64_t recent_usec, int64_t now_usec)
{
    unsigned sharing = 1;

    for (size_t i = 0; i < starters->count; i++) {
        const struct starter *starter = &starters->items[i];

        if (!id_equal(&starter->tenant, tenant) &&
            (starter->under_way > 0 || now_usec - starter->used_usec < recent_usec))
            sharing++;
    }
    return (starting + sharing - 1) / sharing;
}

/* The one without a start under way that had its last before all others; there is room for more
 * than can be under way. */
static struct starter *oldest(const struct starters *starters)
{
    struct starter *found = NULL;

    for (size_t i = 0; i < starters->count; i++) {
        struct starter *starter = &starters->items[i];

        if (starter->under_way == 0 && (!found || starter->used_usec < found->used_usec))
            found = starter;
    }
    return found;
}

void starters_begin(struct starters *starters, const struct id *tenant, int64_t now_usec)
{
    struct starter *starter = find(starters, tenant);

    if (!starter) {
        starter = starters->count < starters->room ? &starters->items[starters->count++]
                                                   : oldest(starters);
        *starter = (struct starter){.tenant = *tenant};
    }
    starter->under_way++;
    starter->used_usec = now_usec;
}

void starters_end(struct starters *starters, const struct id *tenant, int64_t now_usec)
{
    struct starter *starter = find(starters, tenant);

    starter->under_way--;
    starter->used_usec = now_usec;
}
