#include "server/services/transitions.h"

#include <stdbool.h>
#include <stdlib.h>

void transitions_init(struct transitions *transitions)
{
    *transitions = (struct transitions){.busy = NULL};
    pthread_mutex_init(&transitions->lock, NULL);
}

void transitions_done(struct transitions *transitions)
{
    free(transitions->busy);
    pthread_mutex_destroy(&transitions->lock);
}

/* The place of `id`, or `count`. There are as many as requests under way: few. */
static size_t find(const struct transitions *transitions, const struct id *id)
{
    size_t i = 0;

    while (i < transitions->count && !id_equal(&transitions->busy[i], id))
        i++;
    return i;
}

static bool reserve(struct transitions *transitions)
{
    size_t capacity = transitions->capacity ? transitions->capacity * 2 : 16;
    struct id *larger;

    if (transitions->count < transitions->capacity)
        return true;
    larger = realloc(transitions->busy, capacity * sizeof(*larger));
    if (!larger)
        return false;
    transitions->busy = larger;
    transitions->capacity = capacity;
    return true;
}

static int enter(struct transitions *transitions, const struct id *id, struct error *err)
{
    if (find(transitions, id) < transitions->count)
        return error_set(err, ERR_CONFLICT, "another call is changing the sandbox's state");
    if (!reserve(transitions))
        return error_no_memory(err);
    transitions->busy[transitions->count++] = *id;
    return 0;
}

int transitions_enter(struct transitions *transitions, const struct id *id, struct error *err)
{
    int status;

    pthread_mutex_lock(&transitions->lock);
    status = enter(transitions, id, err);
    pthread_mutex_unlock(&transitions->lock);
    return status;
}

void transitions_leave(struct transitions *transitions, const struct id *id)
{
    size_t place;

    pthread_mutex_lock(&transitions->lock);
    place = find(transitions, id);
    if (place < transitions->count)
        transitions->busy[place] = transitions->busy[--transitions->count];
    pthread_mutex_unlock(&transitions->lock);
}
