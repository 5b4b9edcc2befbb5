#include "worker/webhook_sender.h"

#include "lib/base/address.h"
#include "lib/base/util.h"
#include "worker/webhook_signature.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Header and body of an answer together; what goes beyond is not read. */
enum { ANSWER_MAX = 65536 };

struct transfer {
    CURL *curl; /* NULL: the place is free */
    struct curl_slist *headers;
    char *body;
    struct id id;
    struct id webhook;
    int64_t attempts;
    bool allow_private;
    const char *refusal; /* of an address that was not connected to */
    size_t received;
};

struct webhook_sender {
    struct webhook_sender_options options;
    CURLM *multi;
    size_t count;
    struct transfer transfers[WEBHOOK_SENDER_MAX];
};

int webhook_sender_new(const struct webhook_sender_options *options,
                       struct webhook_sender **ret_sender, struct error *err)
{
    struct webhook_sender *sender = calloc(1, sizeof(*sender));
    CURLM *multi = curl_multi_init();

    if (!sender || !multi) {
        (void)curl_multi_cleanup(multi);
        free(sender);
        return error_set_errno(err, ENOMEM, "cannot send webhooks");
    }
    sender->options = *options;
    sender->multi = multi;
    *ret_sender = sender;
    return 0;
}

static void transfer_clear(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->curl);
    curl_slist_free_all(transfer->headers);
    free(transfer->body);
    *transfer = (struct transfer){.curl = NULL};
}

static void transfer_end(struct webhook_sender *sender, struct transfer *transfer)
{
    (void)curl_multi_remove_handle(sender->multi, transfer->curl);
    transfer_clear(transfer);
    sender->count--;
}

void webhook_sender_free(struct webhook_sender *sender)
{
    if (!sender)
        return;
    for (size_t i = 0; i < WEBHOOK_SENDER_MAX; i++)
        if (sender->transfers[i].curl)
            transfer_end(sender, &sender->transfers[i]);
    (void)curl_multi_cleanup(sender->multi);
    free(sender);
}

/* CURLOPT_OPENSOCKETFUNCTION: the last moment, with the address that is connected to. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = user;

    (void)purpose;
    if (!transfer->allow_private) {
        const char *refusal = address_refusal(&address->addr);

        if (refusal) {
            transfer->refusal = refusal;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Takes no more than the bound; libcurl ends the transfer when less is taken than was offered. */
static size_t take_answer(char *data, size_t size, size_t count, void *user)
{
    struct transfer *transfer = user;

    (void)data;
    transfer->received += size * count;
    return transfer->received <= ANSWER_MAX ? size * count : 0;
}

static bool add_header(struct transfer *transfer, const char *name, const char *value)
{
    _cleanup_free_ char *line = NULL;
    struct curl_slist *longer;

    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return false;
    }
    longer = curl_slist_append(transfer->headers, line);
    if (longer)
        transfer->headers = longer;
    return longer;
}

static int add_headers(struct transfer *transfer, const struct delivery_claim *claim,
                       struct error *err)
{
    char signature[WEBHOOK_SIGNATURE_SIZE];
    char id[ID_TEXT_SIZE];

    id_format(&claim->id, id);
    if (webhook_sign(claim->secret, (int64_t)time(NULL), claim->body, signature, err) < 0)
        return -1;
    if (!add_header(transfer, "Content-Type", "application/json") ||
        !add_header(transfer, "Atoll-Event", claim->kind) ||
        !add_header(transfer, "Atoll-Delivery", id) ||
        !add_header(transfer, "Atoll-Signature", signature))
        return error_set_errno(err, ENOMEM, "cannot send a webhook");
    return 0;
}

/* What makes a hostile URL harmless; each must be understood by libcurl. */
static bool set_walls(struct transfer *transfer, uint32_t timeout_ms)
{
    CURL *curl = transfer->curl;

    return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* A look-up that does not end is left to its thread. */
           curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_answer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer) == CURLE_OK;
}

static bool set_request(struct transfer *transfer, const char *url)
{
    CURL *curl = transfer->curl;

    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "Atoll-Webhooks") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(transfer->body)) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK;
}

static int prepare(struct webhook_sender *sender, struct transfer *transfer,
                   const struct delivery_claim *claim, struct error *err)
{
    *transfer = (struct transfer){
        .curl = curl_easy_init(),
        .body = strdup(claim->body),
        .id = claim->id,
        .webhook = claim->webhook,
        .attempts = claim->attempts,
        .allow_private = sender->options.allow_private,
    };
    if (!transfer->curl || !transfer->body)
        return error_set_errno(err, ENOMEM, "cannot send a webhook");
    if (add_headers(transfer, claim, err) < 0)
        return -1;
    if (!set_walls(transfer, sender->options.timeout_ms) || !set_request(transfer, claim->url) ||
        curl_multi_add_handle(sender->multi, transfer->curl) != CURLM_OK)
        return error_set(err, ERR_INTERNAL, "libcurl does not take a webhook");
    return 0;
}

int webhook_sender_start(struct webhook_sender *sender, const struct delivery_claim *claim,
                         struct error *err)
{
    struct transfer *transfer = sender->transfers;

    if (sender->count == WEBHOOK_SENDER_MAX)
        return error_set(err, ERR_TOO_MANY, "too many webhooks are under way");
    while (transfer->curl)
        transfer++;
    if (prepare(sender, transfer, claim, err) < 0) {
        transfer_clear(transfer);
        return -1;
    }
    sender->count++;
    return 0;
}

int webhook_sender_wait(struct webhook_sender *sender, int timeout_ms, struct error *err)
{
    CURLMcode code;
    int running;

    code = curl_multi_perform(sender->multi, &running);
    /* Something that has ended is not waited beside. */
    if (code == CURLM_OK && (size_t)running == sender->count)
        code = curl_multi_poll(sender->multi, NULL, 0, timeout_ms, NULL);
    if (code == CURLM_OK)
        code = curl_multi_perform(sender->multi, &running);
    if (code != CURLM_OK)
        return error_set(err, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
    return 0;
}

static void describe(const struct transfer *transfer, CURLcode code,
                     struct webhook_result *ret_result)
{
    struct webhook_result result = {
        .id = transfer->id, .webhook = transfer->webhook, .attempts = transfer->attempts};

    (void)curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &result.status);
    /* The answer beyond the bound was not wanted; its status came before it. */
    if (code == CURLE_WRITE_ERROR && transfer->received > ANSWER_MAX)
        code = CURLE_OK;
    result.delivered = code == CURLE_OK && result.status >= 200 && result.status < 300;
    if (code != CURLE_OK && transfer->refusal)
        (void)snprintf(result.error, sizeof(result.error), "the host's address is %s",
                       transfer->refusal);
    else if (code != CURLE_OK)
        (void)snprintf(result.error, sizeof(result.error), "%s", curl_easy_strerror(code));
    else if (!result.delivered)
        (void)snprintf(result.error, sizeof(result.error), "answered with %ld", result.status);
    *ret_result = result;
}

bool webhook_sender_next(struct webhook_sender *sender, struct webhook_result *ret_result)
{
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(sender->multi, &left))) {
        struct transfer *transfer;

        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer) != CURLE_OK)
            continue;
        describe(transfer, message->data.result, ret_result);
        transfer_end(sender, transfer);
        return true;
    }
    return false;
}

bool webhook_sender_abandon(struct webhook_sender *sender, struct webhook_result *ret_result)
{
    for (size_t i = 0; i < WEBHOOK_SENDER_MAX; i++) {
        struct transfer *transfer = &sender->transfers[i];

        if (!transfer->curl)
            continue;
        describe(transfer, CURLE_ABORTED_BY_CALLBACK, ret_result);
        transfer_end(sender, transfer);
        return true;
    }
    return false;
}

size_t webhook_sender_count(const struct webhook_sender *sender)
{
    return sender->count;
}

size_t webhook_sender_busy(const struct webhook_sender *sender, struct delivery_busy *busy)
{
    size_t count = 0;

    for (size_t i = 0; i < WEBHOOK_SENDER_MAX; i++) {
        const struct transfer *transfer = &sender->transfers[i];
        size_t at = 0;

        if (!transfer->curl)
            continue;
        while (at < count && !id_equal(&busy[at].webhook, &transfer->webhook))
            at++;
        if (at == count)
            busy[count++] = (struct delivery_busy){.webhook = transfer->webhook};
        busy[at].count++;
    }
    return count;
}

void webhook_sender_wake(struct webhook_sender *sender)
{
    (void)curl_multi_wakeup(sender->multi);
}
