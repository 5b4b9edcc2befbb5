#include "cli/channel.h"

#include "lib/base/base64.h"
#include "lib/base/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <wslay/wslay.h>

enum {
    OPEN_TIMEOUT_S = 10,
    HEAD_MAX = 8192,
    MESSAGE_MAX = 65536, /* the service's have 8,201 bytes at most */
    QUEUE_MAX = 64,      /* messages to a service that does not read: it may ping all the same */
    KEY_SIZE = 16,       /* RFC 6455 section 4.1 */
};

/* RFC 6455 section 1.3. */
#define ACCEPT_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct channel {
    CURL *curl;
    int fd;
    struct wslay_event_context *frames;
    channel_take take;
    void *user;
    char head[HEAD_MAX + 1]; /* what came first: the answer's head, and maybe frames */
    size_t head_size;
    size_t head_used;
};

/* --- what libwslay calls */

/* Bytes behind the head come first. */
static size_t take_head(struct channel *channel, void *data, size_t size)
{
    size_t left = channel->head_size - channel->head_used;
    size_t taken = left < size ? left : size;

    memcpy(data, channel->head + channel->head_used, taken);
    channel->head_used += taken;
    return taken;
}

static ssize_t on_recv(wslay_event_context_ptr context, uint8_t *data, size_t size,
                       __attribute__((unused)) int flags, void *user)
{
    struct channel *channel = user;
    size_t taken = take_head(channel, data, size);
    CURLcode code = CURLE_OK;

    if (taken == 0 && wslay_event_get_queued_msg_count(context) > QUEUE_MAX)
        code = CURLE_RECV_ERROR;
    else if (taken == 0)
        code = curl_easy_recv(channel->curl, data, size, &taken);
    if (taken > 0)
        return (ssize_t)taken;
    wslay_event_set_error(context,
                          code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t size,
                       __attribute__((unused)) int flags, void *user)
{
    const struct channel *channel = user;
    size_t sent = 0;
    CURLcode code = curl_easy_send(channel->curl, data, size, &sent);

    if (sent > 0)
        return (ssize_t)sent;
    wslay_event_set_error(context,
                          code == CURLE_AGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(__attribute__((unused)) wslay_event_context_ptr context, uint8_t *data,
                   size_t size, __attribute__((unused)) void *user)
{
    return getrandom(data, size, 0) == (ssize_t)size ? 0 : -1;
}

static void on_message(__attribute__((unused)) wslay_event_context_ptr context,
                       const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    const struct channel *channel = user;

    if (message->opcode == WSLAY_TEXT_FRAME || message->opcode == WSLAY_BINARY_FRAME)
        channel->take(channel->user,
                      message->opcode == WSLAY_TEXT_FRAME ? CHANNEL_TEXT : CHANNEL_BINARY,
                      (const char *)message->msg, message->msg_length);
}

/* --- opening one */

static bool set_connection(CURL *curl, const char *url, bool is_local)
{
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPPROXYTUNNEL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           (!is_local || curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)OPEN_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

static int connect_curl(struct channel *channel, const struct peer *peer, struct error *err)
{
    curl_socket_t fd;
    CURLcode code;

    channel->curl = curl_easy_init();
    if (!channel->curl || !set_connection(channel->curl, peer->url, peer->is_local))
        return error_set(err, ERR_INTERNAL, "libcurl does not start");
    code = curl_easy_perform(channel->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(channel->curl, CURLINFO_ACTIVESOCKET, &fd);
    if (code != CURLE_OK)
        return error_set(err, ERR_UNAVAILABLE, "%s: %s", peer->shown_url, curl_easy_strerror(code));
    channel->fd = fd;
    return 0;
}

/* Waits until the connection may be ready for `events`. */
static int wait_ready(const struct channel *channel, short events, int64_t deadline_usec,
                      struct error *err)
{
    struct pollfd ready = {.fd = channel->fd, .events = events};

    if (poll(&ready, 1, deadline_left_ms(deadline_usec)) == 0)
        return error_set(err, ERR_UNAVAILABLE, "the service does not answer");
    return 0;
}

static int send_text(struct channel *channel, const char *text, int64_t deadline_usec,
                     struct error *err)
{
    size_t left = strlen(text);

    while (left > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(channel->curl, text, left, &sent);

        text += sent;
        left -= sent;
        if (code == CURLE_AGAIN && wait_ready(channel, POLLOUT, deadline_usec, err) < 0)
            return -1;
        if (code != CURLE_OK && code != CURLE_AGAIN)
            return error_set(err, ERR_UNAVAILABLE, "%s", curl_easy_strerror(code));
    }
    return 0;
}

/* Reads on until the head is whole; what is behind it stays for libwslay. */
static int read_head(struct channel *channel, int64_t deadline_usec, struct error *err)
{
    const char *end;

    while (!(end = strstr(channel->head, "\r\n\r\n"))) {
        size_t got = 0;
        CURLcode code = curl_easy_recv(channel->curl, channel->head + channel->head_size,
                                       HEAD_MAX - channel->head_size, &got);

        if (code == CURLE_AGAIN) {
            if (wait_ready(channel, POLLIN, deadline_usec, err) < 0)
                return -1;
            continue;
        }
        if (code != CURLE_OK || got == 0)
            return error_set(err, ERR_UNAVAILABLE, "the service breaks off its answer");
        channel->head_size += got;
        channel->head[channel->head_size] = '\0';
    }
    channel->head_used = (size_t)(end + 4 - channel->head);
    return 0;
}

/* What the service must answer to a key; the caller frees it. NULL without memory. */
static char *make_accept(const char *key)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    char text[128];

    (void)snprintf(text, sizeof(text), "%s" ACCEPT_SUFFIX, key);
    if (!EVP_Q_digest(NULL, "SHA1", NULL, text, strlen(text), digest, NULL))
        return NULL;
    return base64_encode(digest, sizeof(digest));
}

/* RFC 6455 section 4.1: what the answer must be. */
static int check_head(const char *head, const char *key, struct error *err)
{
    static const char name[] = "\r\nSec-WebSocket-Accept:";
    _cleanup_free_ char *accept = make_accept(key);
    const char *field = strcasestr(head, name);
    long status = strncmp(head, "HTTP/1.1 ", 9) == 0 ? strtol(head + 9, NULL, 10) : 0;

    if (status != 101)
        return error_set(err, api_refusal_code(status),
                         "the service answered %ld, and opens no WebSocket", status);
    if (!accept)
        return error_set_errno(err, ENOMEM, "cannot read the service's answer");
    field = field ? field + strlen(name) : "";
    field += strspn(field, " \t");
    if (strncmp(field, accept, strlen(accept)) != 0)
        return error_set(err, ERR_CONFLICT, "the service's answer opens no WebSocket");
    return 0;
}

/* The request that asks for a WebSocket. */
static int make_request(const struct peer *peer, const char *path, const char *key,
                        char **ret_request, struct error *err)
{
    const char *authority = strstr(peer->url, "://") + 3;
    size_t length = strcspn(authority, "/");
    const char *at = memrchr(authority, '@', length);
    const char *host = at ? at + 1 : authority;
    char *request;

    if (asprintf(&request,
                 "GET %s%s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                 "Authorization: Bearer %s\r\n\r\n",
                 authority + length, path, (int)(authority + length - host), host, key,
                 peer->credential) < 0)
        request = NULL;
    if (!request) {
        (void)error_set_errno(err, ENOMEM, "cannot call the service");
        return -1;
    }
    *ret_request = request;
    return 0;
}

static int shake_hands(struct channel *channel, const struct peer *peer, const char *path,
                       struct error *err)
{
    int64_t deadline_usec = monotonic_usec() + (int64_t)OPEN_TIMEOUT_S * 1000000;
    _cleanup_free_ char *request = NULL;
    _cleanup_free_ char *key = NULL;
    unsigned char bytes[KEY_SIZE];

    if (getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes))
        key = base64_encode(bytes, sizeof(bytes));
    if (!key)
        return error_set_errno(err, ENOMEM, "cannot call the service");
    if (make_request(peer, path, key, &request, err) < 0 ||
        send_text(channel, request, deadline_usec, err) < 0 ||
        read_head(channel, deadline_usec, err) < 0)
        return -1;
    return check_head(channel->head, key, err);
}

static int begin(struct channel *channel, const struct peer *peer, const char *path,
                 struct error *err)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };

    if (wslay_event_context_client_init(&channel->frames, &callbacks, channel) != 0)
        return error_set_errno(err, ENOMEM, "cannot call the service");
    wslay_event_config_set_max_recv_msg_length(channel->frames, MESSAGE_MAX);
    if (connect_curl(channel, peer, err) < 0)
        return -1;
    return shake_hands(channel, peer, path, err);
}

int channel_open(struct api *api, const char *path, channel_take take, void *user,
                 struct channel **ret_channel, struct error *err)
{
    _cleanup_channel_ struct channel *channel = calloc(1, sizeof(*channel));

    if (!channel)
        return error_set_errno(err, ENOMEM, "cannot call the service");
    channel->take = take;
    channel->user = user;
    if (begin(channel, api_peer(api), path, err) < 0)
        return -1;
    *ret_channel = TAKE_PTR(channel);
    return 0;
}

/* --- an open one */

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    wslay_event_context_free(channel->frames);
    curl_easy_cleanup(channel->curl);
    free(channel);
}

int channel_fd(const struct channel *channel)
{
    return channel->fd;
}

bool channel_is_sending(const struct channel *channel)
{
    return wslay_event_want_write(channel->frames);
}

void channel_send(struct channel *channel, enum channel_kind kind, const void *data, size_t size)
{
    const struct wslay_event_msg message = {
        .opcode = kind == CHANNEL_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME,
        .msg = data,
        .msg_length = size,
    };

    /* It refuses only once a close has begun, which channel_move tells, or without memory. */
    if (wslay_event_queue_msg(channel->frames, &message) == WSLAY_ERR_NOMEM)
        (void)wslay_event_queue_close(channel->frames, WSLAY_CODE_INTERNAL_SERVER_ERROR, NULL, 0);
}

bool channel_move(struct channel *channel)
{
    return wslay_event_recv(channel->frames) == 0 && wslay_event_send(channel->frames) == 0 &&
           (wslay_event_want_read(channel->frames) || wslay_event_want_write(channel->frames));
}
