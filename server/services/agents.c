#include "server/services/agents.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "lib/runtime/launcher_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct kept {
    struct id sandbox;
    uint32_t generation;
    int64_t end_usec; /* of its time; monotonic */
    struct agent_client *client;
};

struct agents {
    int64_t idle_usec;
    pthread_t thread;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t changed;
    bool stopping;
    bool resting; /* the thread has nothing to close */
    size_t count;
    struct kept kept[AGENTS_MAX]; /* the one used last is the last */
};

/* Takes one out; like all below but the thread, with the lock. */
static struct agent_client *remove_at(struct agents *agents, size_t at)
{
    struct agent_client *client = agents->kept[at].client;

    agents->count--;
    memmove(&agents->kept[at], &agents->kept[at + 1],
            (agents->count - at) * sizeof(agents->kept[0]));
    return client;
}

static bool is_of(const struct kept *kept, const struct id *sandbox, uint32_t generation)
{
    return kept->generation == generation && id_equal(&kept->sandbox, sandbox);
}

static struct agent_client *take_last(struct agents *agents, const struct id *sandbox,
                                      uint32_t generation)
{
    for (size_t at = agents->count; at > 0; at--)
        if (is_of(&agents->kept[at - 1], sandbox, generation))
            return remove_at(agents, at - 1);
    return NULL;
}

static bool has_enough(const struct agents *agents, const struct id *sandbox, uint32_t generation)
{
    size_t count = 0;

    for (size_t at = 0; at < agents->count; at++)
        count += is_of(&agents->kept[at], sandbox, generation);
    return count >= AGENTS_OF_CONTAINER_MAX;
}

/* Returns what is to be closed for it, which may be the connection itself, or NULL. */
static struct agent_client *add(struct agents *agents, const struct kept *kept)
{
    struct agent_client *closed = NULL;

    if (has_enough(agents, &kept->sandbox, kept->generation))
        return kept->client;
    if (agents->count == AGENTS_MAX)
        closed = remove_at(agents, 0);
    agents->kept[agents->count++] = *kept;
    if (agents->resting)
        (void)pthread_cond_signal(&agents->changed);
    return closed;
}

static struct agent_client *take_ended(struct agents *agents)
{
    return agents->count > 0 && agents->kept[0].end_usec <= monotonic_usec() ? remove_at(agents, 0)
                                                                             : NULL;
}

static void close_ended(struct agents *agents)
{
    struct agent_client *client;

    while ((client = take_ended(agents))) {
        (void)pthread_mutex_unlock(&agents->lock);
        agent_client_free(client);
        (void)pthread_mutex_lock(&agents->lock);
    }
}

/* Until the first one's time is over; it may have been used again by then. */
static void rest(struct agents *agents)
{
    struct timespec end;

    agents->resting = agents->count == 0;
    if (agents->resting) {
        (void)pthread_cond_wait(&agents->changed, &agents->lock);
        return;
    }
    end = condition_time(agents->kept[0].end_usec);
    (void)pthread_cond_timedwait(&agents->changed, &agents->lock, &end);
}

static void *close_idle(void *argument)
{
    struct agents *agents = argument;

    (void)pthread_mutex_lock(&agents->lock);
    while (!agents->stopping) {
        rest(agents);
        close_ended(agents);
    }
    (void)pthread_mutex_unlock(&agents->lock);
    return NULL;
}

static void agents_free(struct agents *agents)
{
    for (size_t at = 0; at < agents->count; at++)
        agent_client_free(agents->kept[at].client);
    (void)pthread_cond_destroy(&agents->changed);
    (void)pthread_mutex_destroy(&agents->lock);
    free(agents);
}

int agents_start(unsigned idle_ms, struct agents **ret_agents, struct error *err)
{
    struct agents *agents = calloc(1, sizeof(*agents));
    int failure;

    if (!agents)
        return error_no_memory(err);
    agents->idle_usec = idle_ms * INT64_C(1000);
    (void)pthread_mutex_init(&agents->lock, NULL);
    condition_init(&agents->changed);
    failure = pthread_create(&agents->thread, NULL, close_idle, agents);
    if (failure) {
        agents_free(agents);
        return error_set_errno(err, failure, "cannot start the thread of agents");
    }
    *ret_agents = agents;
    return 0;
}

void agents_stop(struct agents *agents)
{
    if (!agents)
        return;
    (void)pthread_mutex_lock(&agents->lock);
    agents->stopping = true;
    (void)pthread_cond_signal(&agents->changed);
    (void)pthread_mutex_unlock(&agents->lock);
    (void)pthread_join(agents->thread, NULL);
    agents_free(agents);
}

struct agent_client *agents_take(struct agents *agents, const struct id *sandbox,
                                 uint32_t generation)
{
    struct agent_client *client;

    for (;;) {
        (void)pthread_mutex_lock(&agents->lock);
        client = take_last(agents, sandbox, generation);
        (void)pthread_mutex_unlock(&agents->lock);
        if (!client || agent_client_idle(client))
            return client;
        agent_client_free(client);
    }
}

void agents_give(struct agents *agents, const struct id *sandbox, uint32_t generation,
                 struct agent_client *client)
{
    const struct kept kept = {
        .sandbox = *sandbox,
        .generation = generation,
        .end_usec = monotonic_usec() + agents->idle_usec,
        .client = client,
    };

    if (agent_client_idle(client)) {
        (void)pthread_mutex_lock(&agents->lock);
        client = add(agents, &kept);
        (void)pthread_mutex_unlock(&agents->lock);
    }
    agent_client_free(client);
}

int agents_connect(struct services *services, const struct id *sandbox, uint32_t generation,
                   int64_t deadline_usec, struct agent_use *ret_use, struct error *err)
{
    struct agent_use use = {
        .agents = services->agents,
        .sandbox = *sandbox,
        .generation = generation,
        .client = agents_take(services->agents, sandbox, generation),
    };

    if (!use.client && launcher_client_connect_agent(services->launcher, sandbox, generation,
                                                     deadline_usec, &use.client, err) < 0)
        return -1;
    *ret_use = use;
    return 0;
}

void agents_leave(struct agent_use *use)
{
    if (use->client)
        agents_give(use->agents, &use->sandbox, use->generation, TAKE_PTR(use->client));
}
