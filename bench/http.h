/*
 * The load generator's HTTP/1.1 client: one request at a time on a non-blocking keep-alive
 * connection, and an incremental reader of the answer. A header, because every .c file of bench/
 * is a program of its own.
 *
 * A connection owns its descriptor and buffers; http_free releases both. The body of a response
 * points into the connection and is good until http_consume.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <atoll/error.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_REQUEST_MAX = 65536, HTTP_RESPONSE_MAX = 262144, HTTP_AUTHORITY_MAX = 256 };

struct http_target {
    char authority[HTTP_AUTHORITY_MAX]; /* as the Host field has it */
    struct sockaddr_storage address;
    socklen_t address_size;
    const char *token;  /* NULL: none; the caller's */
    const char *accept; /* media type; NULL: none; the caller's */
};

struct http_connection {
    int fd;
    bool reused; /* an answer has come on it */
    char *request;
    size_t request_size;
    size_t sent;
    char *response;
    size_t received;
};

struct http_response {
    int status;
    bool close; /* the server will not take another request on this connection */
    char *body; /* NUL-terminated beyond its size */
    size_t body_size;
};

enum http_progress {
    HTTP_PENDING, /* wait for the descriptor */
    HTTP_DONE,    /* the response is whole */
    HTTP_LOST,    /* the connection ended or the answer is not HTTP; the error says why */
};

/* Resolves "host:port". */
static inline int http_target_parse(const char *text, struct http_target *target, struct error *err)
{
    char host[HTTP_AUTHORITY_MAX];
    const char *colon = strrchr(text, ':');
    if (!colon || strlen(text) >= sizeof(host))
        return error_set(err, ERR_INVALID_FIELD, "not host:port: %s", text);
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    (void)snprintf(target->authority, sizeof(target->authority), "%s", text);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host, colon + 1, &hints, &found);
    if (failed)
        return error_set(err, ERR_INVALID_FIELD, "%s: %s", text, gai_strerror(failed));
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_size = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static inline void http_close(struct http_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    connection->reused = false;
    connection->received = 0;
}

static inline void http_free(struct http_connection *connection)
{
    http_close(connection);
    free(connection->request);
    free(connection->response);
    connection->request = NULL;
    connection->response = NULL;
}

/* Opens a closed connection (fd -1). The connect itself blocks: on loopback it is immediate. */
static inline int http_connect(struct http_connection *connection, const struct http_target *target,
                               struct error *err)
{
    static const int ON = 1;
    if (!connection->request)
        connection->request = malloc(HTTP_REQUEST_MAX);
    if (!connection->response)
        connection->response = malloc(HTTP_RESPONSE_MAX);
    if (!connection->request || !connection->response)
        return error_set(err, ERR_INTERNAL, "out of memory");
    connection->fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return error_set_errno(err, errno, "socket");
    if (connect(connection->fd, (const struct sockaddr *)&target->address, target->address_size) <
        0)
        return error_set_errno(err, errno, "connect to %s", target->authority);
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &ON, sizeof(ON)) < 0)
        return error_set_errno(err, errno, "TCP_NODELAY");
    return 0;
}

/* True while a part of the request is unsent. */
static inline bool http_wants_write(const struct http_connection *connection)
{
    return connection->sent < connection->request_size;
}

/* Sends what the socket takes. False when the connection broke. */
static inline bool http_flush(struct http_connection *connection)
{
    while (http_wants_write(connection)) {
        ssize_t sent =
            send(connection->fd, connection->request + connection->sent,
                 connection->request_size - connection->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN;
        connection->sent += (size_t)sent;
    }
    return true;
}

/* Starts a request; `body` NULL sends none. A broken connection shows in http_advance. */
static inline int http_request(struct http_connection *connection, const struct http_target *target,
                               const char *method, const char *path, const char *body,
                               struct error *err)
{
    int length =
        snprintf(connection->request, HTTP_REQUEST_MAX,
                 "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s%s%sContent-Length: %zu\r\n\r\n%s",
                 method, path, target->authority, target->accept ? "Accept: " : "",
                 target->accept ? target->accept : "", target->accept ? "\r\n" : "",
                 target->token ? "Authorization: Bearer " : "", target->token ? target->token : "",
                 target->token ? "\r\n" : "", body ? "Content-Type: application/json\r\n" : "",
                 body ? strlen(body) : 0, body ? body : "");
    if (length < 0 || length >= HTTP_REQUEST_MAX)
        return error_set(err, ERR_TOO_LARGE, "the request is over %d bytes", HTTP_REQUEST_MAX);
    connection->request_size = (size_t)length;
    connection->sent = 0;
    connection->received = 0;
    (void)http_flush(connection);
    return 0;
}

/* The value of a header field of the NUL-terminated head, or NULL. It ends at "\r\n". */
static inline const char *http_field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *field = line + 2;
        if (strncasecmp(field, name, length) == 0 && field[length] == ':')
            return field + length + 1 + strspn(field + length + 1, " \t");
    }
    return NULL;
}

/*
 * Walks a chunked body: PENDING while its last chunk has not come, else DONE and the size of what
 * it carries. With `decode` the carried bytes are moved together at the start of `body`.
 */
static inline enum http_progress http_unchunk(char *body, size_t size, bool decode,
                                              size_t *ret_size)
{
    size_t read = 0;
    size_t written = 0;
    for (;;) {
        const char *line = body + read;
        const char *end = memmem(line, size - read, "\r\n", 2);
        if (!end)
            return HTTP_PENDING;
        size_t chunk = strtoul(line, NULL, 16);
        read = (size_t)(end - body) + 2;
        if (chunk > HTTP_RESPONSE_MAX || size - read < chunk + 2)
            return HTTP_PENDING;
        if (decode)
            memmove(body + written, body + read, chunk);
        written += chunk;
        read += chunk + 2;
        if (chunk == 0) {
            *ret_size = written;
            return HTTP_DONE;
        }
    }
}

/* Looks whether what was received is a whole response. */
static inline enum http_progress http_parse(struct http_connection *connection,
                                            struct http_response *ret_response, struct error *err)
{
    char *data = connection->response;
    char *head_end = memmem(data, connection->received, "\r\n\r\n", 4);
    if (!head_end)
        return HTTP_PENDING;
    char *body = head_end + 4;
    size_t size = connection->received - (size_t)(body - data);
    /* The head ends where its empty line begins, so that no field is looked for in the body. */
    head_end[2] = '\0';

    struct http_response response = {.body = body};
    if (sscanf(data, "HTTP/1.%*1[01] %3d", &response.status) != 1) {
        (void)error_set(err, ERR_BAD_REQUEST, "the answer is not HTTP/1.1");
        return HTTP_LOST;
    }
    const char *length = http_field(data, "Content-Length");
    const char *encoding = http_field(data, "Transfer-Encoding");
    const char *persistence = http_field(data, "Connection");
    response.close = persistence && strncasecmp(persistence, "close", 5) == 0;

    enum http_progress progress = HTTP_DONE;
    if (encoding && strncasecmp(encoding, "chunked", 7) == 0) {
        progress = http_unchunk(body, size, false, &response.body_size);
        if (progress == HTTP_DONE)
            progress = http_unchunk(body, size, true, &response.body_size);
    } else if (length) {
        response.body_size = strtoul(length, NULL, 10);
        progress = size >= response.body_size ? HTTP_DONE : HTTP_PENDING;
    }
    head_end[2] = '\r';
    if (progress == HTTP_DONE) {
        body[response.body_size] = '\0';
        *ret_response = response;
    }
    return progress;
}

/* Sends and receives what is possible without blocking. */
static inline enum http_progress http_advance(struct http_connection *connection,
                                              struct http_response *ret_response, struct error *err)
{
    if (!http_flush(connection)) {
        (void)error_set_errno(err, errno, "send");
        return HTTP_LOST;
    }
    for (;;) {
        /* One byte stays free for the body's NUL. */
        size_t room = HTTP_RESPONSE_MAX - 1 - connection->received;
        if (room == 0) {
            (void)error_set(err, ERR_TOO_LARGE, "the answer is over %d bytes", HTTP_RESPONSE_MAX);
            return HTTP_LOST;
        }
        ssize_t size =
            recv(connection->fd, connection->response + connection->received, room, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return HTTP_PENDING;
        if (size <= 0) {
            (void)error_set(err, ERR_UNAVAILABLE, "the connection ended before the answer");
            return HTTP_LOST;
        }
        connection->received += (size_t)size;
        enum http_progress progress = http_parse(connection, ret_response, err);
        if (progress != HTTP_PENDING)
            return progress;
    }
}

/* The response was used: the connection is ready for the next request. */
static inline void http_consume(struct http_connection *connection)
{
    connection->received = 0;
    connection->request_size = 0;
    connection->sent = 0;
    connection->reused = true;
}

/* True when a loss means that the server had closed an idle connection, not refused a request. */
static inline bool http_may_retry(const struct http_connection *connection)
{
    return connection->reused && connection->received == 0;
}

#endif
