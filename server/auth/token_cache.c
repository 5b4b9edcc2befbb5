#include "server/auth/token_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARDS = 16, /* locks, so that threads seldom meet */
    SETS = 64,   /* of a shard */
    WAYS = 4,    /* entries of a set */
};

struct entry {
    unsigned char digest[TOKEN_DIGEST_SIZE];
    uint64_t used; /* the shard's clock at the last use; 0: empty */
    struct token_record record;
};

struct shard {
    pthread_mutex_t lock;
    uint64_t clock;
    struct entry sets[SETS][WAYS];
};

struct token_cache {
    struct shard shards[SHARDS];
};

int token_cache_create(struct token_cache **ret_cache, struct error *err)
{
    struct token_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return error_no_memory(err);
    for (size_t i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&cache->shards[i].lock, NULL);
    *ret_cache = cache;
    return 0;
}

void token_cache_destroy(struct token_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SHARDS; i++)
        (void)pthread_mutex_destroy(&cache->shards[i].lock);
    free(cache);
}

/* A digest's bytes are uniform, so any of them index. */
static struct shard *shard_of(struct token_cache *cache, const unsigned char *digest)
{
    return &cache->shards[digest[0] % SHARDS];
}

static struct entry *set_of(struct shard *shard, const unsigned char *digest)
{
    return shard->sets[digest[1] % SETS];
}

static struct entry *find(struct entry *set, const unsigned char *digest)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].used != 0 && memcmp(set[i].digest, digest, TOKEN_DIGEST_SIZE) == 0)
            return &set[i];
    return NULL;
}

bool token_cache_find(struct token_cache *cache, const unsigned char digest[TOKEN_DIGEST_SIZE],
                      int64_t now, struct token_record *ret_record)
{
    struct shard *shard = shard_of(cache, digest);
    struct entry *entry;

    pthread_mutex_lock(&shard->lock);
    entry = find(set_of(shard, digest), digest);
    if (entry && entry->record.identity.expires_at <= now) {
        entry->used = 0;
        entry = NULL;
    }
    if (entry) {
        entry->used = ++shard->clock;
        *ret_record = entry->record;
    }
    pthread_mutex_unlock(&shard->lock);
    return entry != NULL;
}

void token_cache_store(struct token_cache *cache, const unsigned char digest[TOKEN_DIGEST_SIZE],
                       const struct token_record *record)
{
    struct shard *shard = shard_of(cache, digest);
    struct entry *set = set_of(shard, digest);
    struct entry *entry;

    pthread_mutex_lock(&shard->lock);
    entry = find(set, digest);
    if (!entry) {
        entry = set;
        for (size_t i = 1; i < WAYS; i++)
            if (set[i].used < entry->used)
                entry = &set[i];
    }
    memcpy(entry->digest, digest, TOKEN_DIGEST_SIZE);
    entry->record = *record;
    entry->used = ++shard->clock;
    pthread_mutex_unlock(&shard->lock);
}
