#include "server/services/executors.h"

#include "lib/db/store_executor.h"
#include "lib/json/json.h"
#include "server/services/places.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)EXECUTORS_HASH_SIZE == (int)STORE_EXECUTOR_HASH_SIZE, "one hash of secrets");
_Static_assert((int)EXECUTORS_HASH_SIZE == (int)SHA256_DIGEST_LENGTH, "it is SHA-256");

struct executors {
    struct places *memory; /* of answers, in pieces */
    atomic_size_t waiting; /* bytes, of streams */
    pthread_mutex_t lock;  /* over the following */
    bool has_key;
    unsigned char key[STORE_EXECUTOR_KEY_SIZE];
};

int executors_create(struct executors **ret_executors, struct error *err)
{
    struct executors *executors = calloc(1, sizeof(*executors));

    if (!executors)
        return error_set_errno(err, ENOMEM, "cannot keep the key of sandboxes' secrets");
    if (places_create(&executors->memory, err) < 0) {
        free(executors);
        return -1;
    }
    (void)pthread_mutex_init(&executors->lock, NULL);
    *ret_executors = executors;
    return 0;
}

void executors_free(struct executors *executors)
{
    if (!executors)
        return;
    places_free(executors->memory);
    (void)pthread_mutex_destroy(&executors->lock);
    OPENSSL_cleanse(executors, sizeof(*executors));
    free(executors);
}

/* PostgreSQL may be away when the server starts, so the key is asked for when it is needed. */
static int take_key(struct services *services, unsigned char key[static STORE_EXECUTOR_KEY_SIZE],
                    struct error *err)
{
    struct executors *executors = services->executors;
    bool has_key;

    (void)pthread_mutex_lock(&executors->lock);
    has_key = executors->has_key;
    memcpy(key, executors->key, STORE_EXECUTOR_KEY_SIZE);
    (void)pthread_mutex_unlock(&executors->lock);
    if (has_key)
        return 0;
    if (store_executor_key(services->db, key, err) < 0)
        return -1;
    (void)pthread_mutex_lock(&executors->lock);
    memcpy(executors->key, key, STORE_EXECUTOR_KEY_SIZE);
    executors->has_key = true;
    (void)pthread_mutex_unlock(&executors->lock);
    return 0;
}

int executors_prepare(struct services *services, struct error *err)
{
    unsigned char key[STORE_EXECUTOR_KEY_SIZE];
    int status = take_key(services, key, err);

    OPENSSL_cleanse(key, sizeof(key));
    return status;
}

bool executors_is_chosen(const char *env_json)
{
    _cleanup_cjson_ cJSON *environment = cJSON_Parse(env_json);
    const char *secret = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(environment, EXECUTORS_SECRET_VARIABLE));

    return secret && secret[0] != '\0';
}

int executors_secret(struct services *services, const struct id *sandbox,
                     char ret_secret[static EXECUTORS_SECRET_SIZE], struct error *err)
{
    unsigned char key[STORE_EXECUTOR_KEY_SIZE];
    unsigned char code[SHA256_DIGEST_LENGTH];
    const unsigned char *made;

    if (take_key(services, key, err) < 0)
        return -1;
    made = HMAC(EVP_sha256(), key, sizeof(key), sandbox->bytes, sizeof(sandbox->bytes), code, NULL);
    OPENSSL_cleanse(key, sizeof(key));
    if (!made)
        return error_set(err, ERR_INTERNAL, "cannot derive the secret of a sandbox");
    for (size_t i = 0; i < sizeof(code); i++)
        (void)snprintf(ret_secret + 2 * i, 3, "%02x", code[i]);
    OPENSSL_cleanse(code, sizeof(code));
    return 0;
}

bool executors_take_memory(struct services *services, const struct id *tenant, unsigned pieces)
{
    return places_take_many(services->executors->memory, tenant, pieces, EXECUTORS_PIECES_OF_TENANT,
                            EXECUTORS_PIECES);
}

void executors_give_memory(struct services *services, const struct id *tenant, unsigned pieces)
{
    places_give_many(services->executors->memory, tenant, pieces);
}

bool executors_take_waiting(struct services *services, size_t size)
{
    atomic_size_t *waiting = &services->executors->waiting;

    if (atomic_fetch_add(waiting, size) + size <= EXECUTORS_WAITING)
        return true;
    atomic_fetch_sub(waiting, size);
    return false;
}

void executors_give_waiting(struct services *services, size_t size)
{
    atomic_fetch_sub(&services->executors->waiting, size);
}

static int hash_derived(struct services *services, const struct id *sandbox,
                        unsigned char hash[static EXECUTORS_HASH_SIZE], struct error *err)
{
    char secret[EXECUTORS_SECRET_SIZE];

    if (executors_secret(services, sandbox, secret, err) < 0)
        return -1;
    (void)SHA256((const unsigned char *)secret, strlen(secret), hash);
    OPENSSL_cleanse(secret, sizeof(secret));
    return 0;
}

int executors_find(struct services *services, const struct id *sandbox,
                   struct executor_place *ret_place, struct error *err)
{
    struct store_executor found;
    struct executor_place place;

    if (store_executor_find(services->db, sandbox, &found, err) < 0)
        return -1;
    place = (struct executor_place){
        .tenant = found.tenant, .project = found.project, .is_active = found.is_active};
    if (found.has_chosen)
        memcpy(place.secret_hash, found.chosen_hash, sizeof(place.secret_hash));
    else if (hash_derived(services, sandbox, place.secret_hash, err) < 0)
        return -1;
    *ret_place = place;
    return 0;
}

bool executors_is_good(struct services *services, const struct caller_secret *secret)
{
    struct executor_place place;
    struct error err;

    if (executors_find(services, &secret->sandbox, &place, &err) < 0)
        return err.code != ERR_NOT_FOUND;
    return place.is_active &&
           CRYPTO_memcmp(place.secret_hash, secret->hash, sizeof(secret->hash)) == 0;
}
