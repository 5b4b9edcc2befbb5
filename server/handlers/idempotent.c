#include "server/handlers/idempotent.h"

#include "lib/base/util.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/uio.h>

#define KEY_FIELD "Idempotency-Key"

enum {
    KEY_MAX = 255,
    ANSWER_MAX = 4 << 20, /* of what is kept in PostgreSQL */
};

static bool changes_something(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH ||
           method == HTTP_DELETE;
}

static bool is_key(const char *key)
{
    size_t size = strlen(key);

    for (size_t i = 0; i < size; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    return size >= 1 && size <= KEY_MAX;
}

int idempotent_wanted(const struct call *call, bool *ret_wanted, struct error *err)
{
    const char *key = http_request_header(call->request, KEY_FIELD);

    *ret_wanted = key && changes_something(http_request_method(call->request));
    if (!*ret_wanted)
        return 0;
    if (http_request_header_count(call->request, KEY_FIELD) > 1)
        return error_set_field(err, ERR_INVALID_FIELD, KEY_FIELD, KEY_FIELD " came twice");
    if (!is_key(key))
        return error_set_field(err, ERR_INVALID_FIELD, KEY_FIELD,
                               KEY_FIELD " must be 1 to %d visible ASCII characters", KEY_MAX);
    return 0;
}

/* The digest of all pieces; their lengths tell "ab","c" from "a","bc". */
static bool digest_pieces(EVP_MD_CTX *context, const struct iovec *pieces, size_t count,
                          uint8_t digest[static DB_FINGERPRINT_SIZE])
{
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint64_t size = pieces[i].iov_len;

        if (EVP_DigestUpdate(context, &size, sizeof(size)) != 1 ||
            EVP_DigestUpdate(context, pieces[i].iov_base, pieces[i].iov_len) != 1)
            return false;
    }
    return EVP_DigestFinal_ex(context, digest, NULL) == 1;
}

static struct iovec text_piece(const char *text)
{
    return (struct iovec){(char *)text, strlen(text)};
}

/* What makes two requests the same one. */
static int fingerprint(const struct call *call, uint8_t digest[static DB_FINGERPRINT_SIZE],
                       struct error *err)
{
    size_t max = (size_t)call->services->config->server_max_body_bytes;
    struct http_request *request = call->request;
    EVP_MD_CTX *context;
    const char *body;
    size_t size;
    bool done;

    if (http_request_body(request, max, &body, &size, err) < 0)
        return -1;
    const struct iovec pieces[] = {
        text_piece(http_method_name(http_request_method(request))),
        text_piece(http_request_raw_path(request)),
        text_piece(http_request_query(request)),
        {(char *)call->caller.project.bytes, call->caller.has_project ? ID_BYTES : 0},
        {(char *)body, size},
    };

    context = EVP_MD_CTX_new();
    done = context && digest_pieces(context, pieces, ARRAY_SIZE(pieces), digest);
    EVP_MD_CTX_free(context);
    return done ? 0 : error_set(err, ERR_INTERNAL, "cannot digest the request");
}

static int fill_claim(const struct call *call, struct db_claim *claim, struct error *err)
{
    *claim = (struct db_claim){
        .key = http_request_header(call->request, KEY_FIELD),
        .tenant = call->caller.tenant,
        .resource = call->id,
        .boot_id = call->services->boot_id,
    };
    return fingerprint(call, claim->fingerprint, err);
}

static void mark_replayed(struct call *call)
{
    http_response_header(call->request, "Idempotency-Replayed", "true");
}

static int replay(struct call *call, const struct store_answer *answer)
{
    mark_replayed(call);
    if (answer->etag)
        http_response_header(call->request, "ETag", answer->etag);
    http_respond_bytes(call->request, answer->status, answer->media_type, answer->data,
                       answer->size);
    return 0;
}

/* Shows what the earlier request's effect was on. */
static int show_effect(const struct call *call, const struct idempotent_plan *plan,
                       const struct id *resource, struct error *err)
{
    struct call seen = *call;

    /* What was made is below what the path names. */
    if (!id_equal(resource, &call->id)) {
        seen.ids[id_is_none(&call->ids[0]) ? 0 : 1] = *resource;
        seen.id = seen.ids[0];
    }
    http_response_set_success(call->request, plan->status);
    return plan->remake(&seen, err);
}

/* The answer that was never kept, from what is there now. */
static int remake(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt,
                  struct error *err)
{
    int status;

    mark_replayed(call);
    if (!plan->remake)
        return error_set(err, ERR_CONFLICT,
                         "the request with this Idempotency-Key was carried out, but its answer "
                         "is not there any more");
    status = show_effect(call, plan, &attempt->claim.resource, err);
    http_response_set_success(call->request, 0);
    if (status == 0 || err->code != ERR_NOT_FOUND)
        return status;
    if (plan->gone_is_done) {
        http_respond_empty(call->request, plan->status);
        return 0;
    }
    if (!plan->gone_runs_again)
        return -1;
    if (idempotency_forget(call->services, &call->caller, attempt, err) < 0)
        return -1;
    http_response_forget(call->request);
    attempt->claim.resource = call->id;
    return plan->handler(call, err);
}

static int take_turn(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt,
                     enum attempt_turn turn, const struct store_answer *answer, struct error *err)
{
    switch (turn) {
    case ATTEMPT_REPLAYS:
        return replay(call, answer);
    case ATTEMPT_REMAKES:
        return remake(call, plan, attempt, err);
    case ATTEMPT_RUNS:
        break;
    }
    return plan->handler(call, err);
}

int idempotent_run(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt,
                   struct error *err)
{
    int status;

    if (fill_claim(call, &attempt->claim, err) < 0)
        return -1;
    http_response_keep(call->request);
    call->caller.claim = &attempt->claim;
    do {
        _cleanup_(store_answer_free) struct store_answer answer = {.data = NULL};
        enum attempt_turn turn;

        attempt->claim.resource = call->id;
        if (idempotency_begin(call->services, &call->caller, attempt, &turn, &answer, err) < 0)
            return -1;
        status = take_turn(call, plan, attempt, turn, &answer, err);
    } while (status < 0 && idempotency_lost(call->services, &call->caller, attempt));
    return status;
}

void idempotent_end(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt)
{
    _cleanup_free_ char *etag = NULL;
    struct store_answer answer = {.status = http_response_status(call->request)};
    const char *media_type;
    const char *data;
    bool kept;

    if (!attempt->at_work)
        return;
    kept = plan->keeps_answer &&
           http_response_kept(call->request, &media_type, &data, &answer.size) &&
           answer.size <= ANSWER_MAX;

    if (kept) {
        etag = http_response_field(call->request, "ETag");
        answer.etag = etag;
        answer.media_type = (char *)media_type; /* borrowed */
        answer.data = (char *)data;
    }
    idempotency_end(call->services, &call->caller, attempt, answer.status, kept ? &answer : NULL);
}
