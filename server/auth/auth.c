#include "server/auth/auth.h"

#include "lib/base/address.h"
#include "lib/base/util.h"
#include "server/auth/keyring.h"
#include "server/auth/token_cache.h"

#include <atoll/log.h>
#include <atoll/tenant.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct auth {
    bool off;
    struct auth_directory directory;
    struct keyring *keyring;
    struct token_cache *cache;
    _Atomic int64_t recheck_usec; /* a good standing is believed so long */
    struct auth_identity anyone;  /* for mode "off" */
};

static int create_off(struct auth *auth, const struct config *config, struct error *err)
{
    if (!host_is_loopback(config->server_host))
        return error_set(err, ERR_INTERNAL,
                         "auth.mode = \"off\" needs a loopback server.host, not `%s`",
                         config->server_host);
    auth->off = true;
    auth->anyone = (struct auth_identity){
        .subject = "anyone", .role = role_of_scope(""), .expires_at = INT64_MAX};
    if (!id_parse(AUTH_DEFAULT_TENANT, &auth->anyone.tenant))
        return error_set(err, ERR_INTERNAL, "the default tenant is not an id");
    log_warn("AUTHENTICATION IS OFF: everybody on this machine may use the service");
    return 0;
}

static void set_recheck(struct auth *auth, const struct config *config)
{
    atomic_store(&auth->recheck_usec, config->auth_cache_s * INT64_C(1000000));
}

static int create_jwt(struct auth *auth, const struct config *config, struct error *err)
{
    set_recheck(auth, config);
    if (token_cache_create(&auth->cache, err) < 0)
        return -1;
    return keyring_create(config, &auth->keyring, err);
}

int auth_create(const struct config *config, const struct auth_directory *directory,
                struct auth **ret_auth, struct error *err)
{
    struct auth *auth = calloc(1, sizeof(*auth));
    int result;

    if (!auth)
        return error_no_memory(err);
    auth->directory = *directory;
    result = strcmp(config->auth_mode, "off") == 0 ? create_off(auth, config, err)
                                                   : create_jwt(auth, config, err);
    if (result < 0) {
        auth_destroy(auth);
        return -1;
    }
    *ret_auth = auth;
    return 0;
}

void auth_destroy(struct auth *auth)
{
    if (!auth)
        return;
    keyring_destroy(auth->keyring);
    token_cache_destroy(auth->cache);
    free(auth);
}

void auth_reload(struct auth *auth, const struct config *config)
{
    if (auth->off)
        return;
    set_recheck(auth, config);
    keyring_reload(auth->keyring);
}

/* The token of an Authorization value, NULL when it is not of the form `Bearer <token>`. */
static const char *bearer_token(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    const char *token;

    /* RFC 9110 section 11.1: the scheme's name is case-insensitive. */
    if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    token = authorization + sizeof(scheme) - 1;
    token += strspn(token, " ");
    return *token ? token : NULL;
}

/* What came with a request, and why it is refused when it is. */
struct attempt {
    const char *text; /* borrowed from the request, or the next */
    char *owned;
    size_t size;
    unsigned char digest[TOKEN_DIGEST_SIZE];
    struct token_record record;
    bool is_verified; /* `record` says who it is */
    enum auth_reason reason;
};

static int refuse(struct attempt *attempt, enum auth_reason reason, const char *why,
                  struct error *err)
{
    attempt->reason = reason;
    return error_set(err, ERR_UNAUTHENTICATED, "%s", why);
}

/*
 * A browser's WebSocket can send no Authorization: there a subprotocol `bearer.<token>` or
 * `bearer.<API key>` stands for it. Returns 1 when there is one, which `attempt` then owns.
 */
static int take_subprotocol(const struct http_request *request, struct attempt *attempt,
                            struct error *err)
{
    static const char start[] = "bearer.";
    const char *list = http_request_header(request, "Sec-WebSocket-Protocol");
    const char *word;
    size_t length;

    if (!list || !http_request_asks_websocket(request))
        return 0;
    for (word = list; *word != '\0'; word += length) {
        word += strspn(word, ", ");
        length = strcspn(word, ", ");
        if (length < sizeof(start) || strncmp(word, start, sizeof(start) - 1) != 0)
            continue;
        attempt->owned = strndup(word + sizeof(start) - 1, length - (sizeof(start) - 1));
        if (!attempt->owned)
            return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
        attempt->text = attempt->owned;
        return 1;
    }
    return 0;
}

/* One credential, in one place. */
static int take_credential(const struct http_request *request, struct attempt *attempt,
                           struct error *err)
{
    const char *authorization = http_request_header(request, "Authorization");
    const char *key = http_request_header(request, "X-API-Key");
    int offered = take_subprotocol(request, attempt, err);

    if (offered < 0)
        return -1;
    if (http_request_header_count(request, "Authorization") +
            http_request_header_count(request, "X-API-Key") + (size_t)offered >
        1)
        return refuse(attempt, AUTH_MALFORMED, "more than one credential came", err);
    if (!authorization && !key && !offered)
        return refuse(attempt, AUTH_NO_CREDENTIAL, "there is neither token nor API key", err);
    if (!offered)
        attempt->text = key ? key : bearer_token(authorization);
    if (!attempt->text)
        return refuse(attempt, AUTH_MALFORMED, "Authorization is not of the form Bearer", err);
    attempt->size = strlen(attempt->text);
    if (attempt->size > AUTH_TOKEN_MAX)
        return refuse(attempt, AUTH_MALFORMED, "the token is too long", err);
    /* Only a key is taken as X-API-Key: a token there is a mistake to be seen. */
    if (key && strncmp(key, API_KEY_START, strlen(API_KEY_START)) != 0)
        return refuse(attempt, AUTH_MALFORMED, "X-API-Key holds no API key", err);
    return 0;
}

static struct auth_identity identity_of_key(const struct auth_stored_key *stored,
                                            const char *prefix)
{
    struct auth_identity identity = {
        .tenant = stored->tenant,
        .has_project = stored->has_project,
        .project = stored->project,
        .has_key = true,
        .is_key = true,
        .key = stored->id,
        .role = stored->role,
        .expires_at = stored->expires_at,
    };

    (void)snprintf(identity.subject, sizeof(identity.subject), "key:%s", prefix);
    return identity;
}

/* Who has the secret is known from then on, whatever became of the key. */
static int check_stored_key(struct attempt *attempt, const struct api_key *key,
                            const struct auth_stored_key *stored, struct error *err)
{
    if (CRYPTO_memcmp(stored->hash, key->hash, sizeof(key->hash)) != 0)
        return refuse(attempt, AUTH_WRONG_SIGNATURE, "the API key's secret is wrong", err);
    attempt->record.identity = identity_of_key(stored, key->prefix);
    attempt->is_verified = true;
    if (stored->is_revoked)
        return refuse(attempt, AUTH_REVOKED_KEY, "the API key is revoked", err);
    if (stored->is_expired)
        return refuse(attempt, AUTH_EXPIRED, "the API key has expired", err);
    return 0;
}

static int verify_api_key(struct auth *auth, struct attempt *attempt, struct error *err)
{
    struct auth_stored_key stored;
    struct api_key key;
    int result;

    if (!api_key_parse(attempt->text, &key))
        return refuse(attempt, AUTH_MALFORMED, "the API key is malformed", err);
    result = auth->directory.find_key(auth->directory.user, key.prefix, &stored, err);
    if (result < 0 && err->code == ERR_NOT_FOUND)
        result = refuse(attempt, AUTH_UNKNOWN_KEY, "there is no such API key", err);
    else if (result == 0)
        result = check_stored_key(attempt, &key, &stored, err);
    api_key_wipe(&key);
    return result;
}

/* Says who it is: from the cache, or by the signature or hash. */
static int verify(struct auth *auth, struct attempt *attempt, struct error *err)
{
    struct token_record *record = &attempt->record;
    uint64_t epoch = keyring_epoch(auth->keyring);
    int64_t now = time(NULL);

    if (!SHA256((const unsigned char *)attempt->text, attempt->size, attempt->digest))
        return error_set(err, ERR_INTERNAL, "cannot digest a token");
    if (token_cache_find(auth->cache, attempt->digest, now, record) && record->epoch == epoch)
        return 0;
    *record = (struct token_record){.epoch = epoch};
    if (strncmp(attempt->text, API_KEY_START, strlen(API_KEY_START)) == 0)
        return verify_api_key(auth, attempt, err);
    return keyring_verify(auth->keyring, attempt->text, attempt->size, now, &record->identity,
                          &attempt->reason, err);
}

static int refuse_tenant(struct attempt *attempt, enum auth_reason reason, const char *why,
                         struct error *err)
{
    attempt->reason = reason;
    return error_set(err, ERR_FORBIDDEN, "%s", why);
}

/* An operator of a suspended tenant stays able to lift the suspension. */
static int judge(struct attempt *attempt, enum auth_standing standing, struct error *err)
{
    switch (standing) {
    case AUTH_STANDING_GOOD:
        return 0;
    case AUTH_STANDING_NO_TENANT:
        return refuse_tenant(attempt, AUTH_UNKNOWN_TENANT, "the token's tenant does not exist",
                             err);
    case AUTH_STANDING_SUSPENDED:
        if (attempt->record.identity.role >= ROLE_OPERATOR)
            return 0;
        return refuse_tenant(attempt, AUTH_SUSPENDED_TENANT, "the tenant is suspended", err);
    case AUTH_STANDING_NO_KEY:
        return refuse(attempt, AUTH_REVOKED_KEY, "the API key is gone", err);
    }
    return error_set(err, ERR_INTERNAL, "the standing of a caller is unknown");
}

/* Whether tenant and key still are in good standing; asked again only after a while. */
static int check_standing(struct auth *auth, struct attempt *attempt, struct error *err)
{
    struct token_record *record = &attempt->record;
    enum auth_standing standing = AUTH_STANDING_GOOD;
    int64_t now = monotonic_usec();

    if (record->checked_usec != 0 && now - record->checked_usec < atomic_load(&auth->recheck_usec))
        return 0;
    if (auth->directory.check_standing(auth->directory.user, &record->identity, &standing, err) <
            0 ||
        judge(attempt, standing, err) < 0)
        return -1;
    record->checked_usec = now;
    token_cache_store(auth->cache, attempt->digest, record);
    return 0;
}

static int authenticate(struct auth *auth, const struct http_request *request,
                        struct attempt *attempt, struct error *err)
{
    if (take_credential(request, attempt, err) < 0 || verify(auth, attempt, err) < 0)
        return -1;
    attempt->is_verified = true;
    return check_standing(auth, attempt, err);
}

static void note_refusal(struct auth *auth, const struct http_request *request,
                         enum auth_reason reason, const struct auth_identity *identity)
{
    const struct auth_refusal refusal = {
        .reason = reason,
        .identity = identity,
        .client = http_request_client(request),
        .request_id = http_request_id(request),
    };

    auth->directory.note_refusal(auth->directory.user, &refusal);
}

/* What the client hears: nothing that helps a guesser. */
static int answer_refusal(struct auth *auth, struct http_request *request,
                          const struct attempt *attempt, const struct error *why, struct error *err)
{
    if (why->code != ERR_UNAUTHENTICATED && why->code != ERR_FORBIDDEN) {
        *err = *why;
        return -1;
    }
    log_debug("request refused: %s", why->message);
    note_refusal(auth, request, attempt->reason,
                 attempt->is_verified ? &attempt->record.identity : NULL);
    if (why->code == ERR_FORBIDDEN)
        return error_set(err, ERR_FORBIDDEN, "%s", why->message);
    http_response_header(request, "WWW-Authenticate", "Bearer");
    return error_set(err, ERR_UNAUTHENTICATED, "a valid bearer token is needed");
}

int auth_authenticate(struct auth *auth, struct http_request *request,
                      struct auth_identity *ret_identity, struct error *err)
{
    struct attempt attempt = {.text = NULL};
    struct error why = {0};
    int status;

    if (auth->off) {
        *ret_identity = auth->anyone;
        return 0;
    }
    status = authenticate(auth, request, &attempt, &why);
    free(attempt.owned);
    if (status < 0)
        return answer_refusal(auth, request, &attempt, &why, err);
    *ret_identity = attempt.record.identity;
    return 0;
}

/* --- secrets of sandboxes */

static int take_secret(const struct http_request *request, struct attempt *attempt,
                       struct error *err)
{
    const char *authorization = http_request_header(request, "Authorization");

    if (!authorization)
        return refuse(attempt, AUTH_NO_CREDENTIAL, "there is no secret", err);
    if (http_request_header_count(request, "Authorization") == 1)
        attempt->text = bearer_token(authorization);
    if (!attempt->text)
        return refuse(attempt, AUTH_MALFORMED, "Authorization is not of the form Bearer", err);
    attempt->size = strlen(attempt->text);
    return 0;
}

static struct auth_identity identity_of_executor(const struct auth_executor *executor,
                                                 const struct id *sandbox)
{
    struct auth_identity identity = {
        .tenant = executor->tenant,
        .has_project = true,
        .project = executor->project,
        .role = ROLE_MEMBER,
        .expires_at = INT64_MAX,
    };
    char id[ID_TEXT_SIZE];

    id_format(sandbox, id);
    (void)snprintf(identity.subject, sizeof(identity.subject), "executor:%s", id);
    return identity;
}

static int check_secret(struct auth *auth, const struct id *sandbox, struct attempt *attempt,
                        struct error *err)
{
    struct auth_executor executor;

    if (!sandbox)
        return refuse(attempt, AUTH_WRONG_SECRET, "no sandbox is named", err);
    if (auth->directory.find_executor(auth->directory.user, sandbox, &executor, err) < 0)
        return err->code == ERR_NOT_FOUND
                   ? refuse(attempt, AUTH_WRONG_SECRET, "there is no such sandbox", err)
                   : -1;
    (void)SHA256((const unsigned char *)attempt->text, attempt->size, attempt->digest);
    if (CRYPTO_memcmp(attempt->digest, executor.secret_hash, sizeof(executor.secret_hash)) != 0)
        return refuse(attempt, AUTH_WRONG_SECRET, "the secret is wrong", err);
    attempt->record.identity = identity_of_executor(&executor, sandbox);
    attempt->is_verified = true;
    return judge(attempt, executor.is_active ? AUTH_STANDING_GOOD : AUTH_STANDING_SUSPENDED, err);
}

int auth_authenticate_executor(struct auth *auth, struct http_request *request,
                               const struct id *sandbox, struct auth_identity *ret_identity,
                               unsigned char ret_hash[static AUTH_SECRET_HASH_SIZE],
                               struct error *err)
{
    struct attempt attempt = {.text = NULL};
    struct error why = {0};

    if (take_secret(request, &attempt, &why) < 0 || check_secret(auth, sandbox, &attempt, &why) < 0)
        return answer_refusal(auth, request, &attempt, &why, err);
    *ret_identity = attempt.record.identity;
    memcpy(ret_hash, attempt.digest, AUTH_SECRET_HASH_SIZE);
    return 0;
}

int auth_refuse_role(struct auth *auth, const struct http_request *request,
                     const struct auth_identity *identity, struct error *err)
{
    if (!auth->off)
        note_refusal(auth, request, AUTH_MISSING_ROLE, identity);
    return error_set(err, ERR_FORBIDDEN, "the token does not allow this");
}

int auth_issue_token(struct auth *auth, const struct auth_claims *claims, char **ret_token,
                     struct error *err)
{
    if (auth->off)
        return error_set(err, ERR_NOT_SUPPORTED, "authentication is off");
    return keyring_sign(auth->keyring, claims, time(NULL), ret_token, err);
}
