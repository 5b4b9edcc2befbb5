#include "server/http.h"

#include "lib/base/util.h"
#include "server/http/answer.h"
#include "server/http/link.h"
#include "server/http/problem.h"
#include "server/stream/stream.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <civetweb.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    BODY_FIRST_CAPACITY = 16 * 1024,
    WRITE_PIECE = 64 * 1024,
    KNOCK_NSEC = 10 * 1000 * 1000,
};

struct http {
    struct mg_context *context;
    char secret[EDGE_SECRET_SIZE];
    struct streams *streams;
    http_handler handler;
    void *user;
    uint16_t port;
};

struct http_request {
    struct http *http;
    struct mg_connection *connection;
    const struct mg_request_info *info;
    struct edge_link link;
    enum http_method method;
    char *segments[HTTP_SEGMENTS_MAX];
    size_t segment_count;
    char *body;
    size_t body_size;
    bool body_read;
    uint64_t body_taken; /* by http_request_read */
    int status;
    int success; /* the status instead of 200; 0: 200 */
    bool keeps;
    struct {
        char *answer; /* with its head */
        const char *media_type;
        size_t at; /* of the body */
        size_t size;
    } kept;
    struct http_answer answer;
    /* Of an answer in pieces: what has to be sent for it to be whole. */
    bool in_pieces;
    uint64_t left;
    char path[]; /* what the segments point into */
};

static const char *const method_names[] = {
#define HTTP_METHOD_NAME(symbol, text) [symbol] = (text),
    HTTP_METHODS(HTTP_METHOD_NAME)
#undef HTTP_METHOD_NAME
};

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

enum http_method http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_raw_path(const struct http_request *request)
{
    return request->info->local_uri_raw;
}

size_t http_request_segment_count(const struct http_request *request)
{
    return request->segment_count;
}

const char *http_request_segment(const struct http_request *request, size_t index)
{
    return index < request->segment_count ? request->segments[index] : NULL;
}

const char *http_request_query(const struct http_request *request)
{
    return request->info->query_string ? request->info->query_string : "";
}

const char *http_request_id(const struct http_request *request)
{
    return request->link.request_id;
}

const char *http_request_client(const struct http_request *request)
{
    return request->link.client;
}

const char *http_request_host(const struct http_request *request)
{
    return request->link.host;
}

int http_response_status(const struct http_request *request)
{
    return request->status;
}

void http_response_forget(struct http_request *request)
{
    request->answer = (struct http_answer){0};
}

void http_response_set_success(struct http_request *request, int status)
{
    request->success = status;
}

void http_response_keep(struct http_request *request)
{
    request->keeps = true;
}

bool http_response_kept(const struct http_request *request, const char **ret_media_type,
                        const char **ret_data, size_t *ret_size)
{
    if (!request->kept.answer)
        return false;
    *ret_media_type = request->kept.media_type;
    *ret_data = request->kept.answer + request->kept.at;
    *ret_size = request->kept.size;
    return true;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    if (strcasecmp(name, EDGE_LINK_FIELD) == 0)
        return NULL;
    for (int i = 0; i < request->info->num_headers; i++)
        if (strcasecmp(request->info->http_headers[i].name, name) == 0)
            return request->info->http_headers[i].value;
    return NULL;
}

size_t http_request_header_count(const struct http_request *request, const char *name)
{
    size_t count = 0;

    for (int i = 0; i < request->info->num_headers; i++)
        count += strcasecmp(request->info->http_headers[i].name, name) == 0 ? 1 : 0;
    return count;
}

int http_request_query_value(const struct http_request *request, const char *name, char *buffer,
                             size_t size, struct error *err)
{
    return http_query_value(http_request_query(request), name, buffer, size, err);
}

/* Doubles the body's room up to `max` bytes; one more for the NUL. */
static int grow_body(struct http_request *request, size_t *inout_capacity, size_t max,
                     struct error *err)
{
    size_t capacity = *inout_capacity ? *inout_capacity : BODY_FIRST_CAPACITY / 2;
    char *body;

    capacity = capacity > max / 2 ? max : capacity * 2;
    body = realloc(request->body, capacity + 1);
    if (!body)
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    request->body = body;
    *inout_capacity = capacity;
    return 0;
}

/* Reads up to the end of the body; one byte over `max` tells that it is too large. */
static int read_body(struct http_request *request, size_t max, struct error *err)
{
    size_t capacity = 0;

    for (;;) {
        int n;

        if (request->body_size == capacity && grow_body(request, &capacity, max + 1, err) < 0)
            return -1;
        n = mg_read(request->connection, request->body + request->body_size,
                    capacity - request->body_size);
        if (n < 0)
            return error_set(err, ERR_BAD_REQUEST, "the body broke off");
        if (n == 0)
            break;
        request->body_size += (size_t)n;
        if (request->body_size > max)
            return error_set(err, ERR_TOO_LARGE, "the body is over %zu bytes", max);
    }
    if (request->info->content_length > 0 &&
        request->body_size != (size_t)request->info->content_length)
        return error_set(err, ERR_BAD_REQUEST, "the body broke off");
    request->body[request->body_size] = '\0';
    return 0;
}

int http_request_body(struct http_request *request, size_t max, const char **ret_data,
                      size_t *ret_size, struct error *err)
{
    if (request->info->content_length > 0 && (uint64_t)request->info->content_length > max)
        return error_set(err, ERR_TOO_LARGE, "the body is over %zu bytes", max);
    if (!request->body_read && read_body(request, max, err) < 0)
        return -1;
    request->body_read = true;
    if (request->body_size > max)
        return error_set(err, ERR_TOO_LARGE, "the body is over %zu bytes", max);
    *ret_data = request->body;
    *ret_size = request->body_size;
    return 0;
}

uint64_t http_request_size(const struct http_request *request)
{
    if (request->info->content_length >= 0)
        return (uint64_t)request->info->content_length;
    return http_request_header(request, "Transfer-Encoding") ? HTTP_SIZE_UNKNOWN : 0;
}

ssize_t http_request_read(struct http_request *request, void *buffer, size_t size,
                          struct error *err)
{
    int n = mg_read(request->connection, buffer, size < INT_MAX ? size : INT_MAX);

    if (n > 0)
        request->body_taken += (uint64_t)n;
    if (n < 0 || (n == 0 && request->info->content_length > 0 &&
                  request->body_taken != (uint64_t)request->info->content_length))
        return error_set(err, ERR_BAD_REQUEST, "the body broke off");
    return n;
}

void http_response_header(struct http_request *request, const char *name, const char *value)
{
    http_answer_add(&request->answer, name, value);
}

char *http_response_field(const struct http_request *request, const char *name)
{
    size_t size = 0;
    const char *value = http_answer_find(&request->answer, name, &size);

    return value ? strndup(value, size) : NULL;
}

/*
 * civetweb allows `request_timeout_ms` for one call, so that a large answer is written in pieces:
 * a slow client may take long as long as it takes something. A failed write means that the edge
 * gave up on its client, or that he takes nearly nothing: the rest never comes, which the
 * connection's end tells.
 */
static void write_answer(struct mg_connection *connection, const char *data, size_t size)
{
    while (size > 0) {
        size_t piece = size < WRITE_PIECE ? size : WRITE_PIECE;

        if (mg_write(connection, data, piece) != (int)piece) {
            mg_disable_connection_keep_alive(connection);
            return;
        }
        data += piece;
        size -= piece;
    }
}

/* Head and body go together: two writes would cost the edge two reads. */
static void send_answer(struct http_request *request, int status, const char *media_type,
                        const void *body, size_t body_size)
{
    size_t sent_body = request->method == HTTP_HEAD ? 0 : body_size;
    _cleanup_free_ char *answer = malloc(HTTP_ANSWER_HEAD_MAX + sent_body);
    size_t head_size;

    if (status == 200 && request->success)
        status = request->success;
    request->status = status;
    if (!answer) {
        mg_disable_connection_keep_alive(request->connection);
        return;
    }
    head_size = http_answer_format(&request->answer, status, media_type, body_size, answer);
    if (sent_body > 0)
        memcpy(answer + head_size, body, sent_body);
    write_answer(request->connection, answer, head_size + sent_body);
    if (request->keeps) {
        request->kept.media_type = media_type;
        request->kept.at = head_size;
        request->kept.size = sent_body;
        request->kept.answer = TAKE_PTR(answer);
    }
}

void http_respond_bytes(struct http_request *request, int status, const char *media_type,
                        const void *data, size_t size)
{
    if (request->status != 0)
        return;
    if (request->answer.broken) {
        struct error err;

        (void)error_set(&err, ERR_INTERNAL, "the answer could not be written");
        request->answer = (struct http_answer){0};
        http_respond_problem(request, &err);
        return;
    }
    send_answer(request, status, media_type, data, size);
}

void http_respond_json(struct http_request *request, int status, const cJSON *body)
{
    _cleanup_free_ char *text = cJSON_PrintUnformatted(body);
    struct error err;

    if (!text) {
        (void)error_set(&err, ERR_UNAVAILABLE, "there is no memory for the answer");
        http_respond_problem(request, &err);
        return;
    }
    http_respond_bytes(request, status, "application/json", text, strlen(text));
}

void http_respond_problem(struct http_request *request, const struct error *error)
{
    _cleanup_free_ char *text = problem_format(error, http_request_id(request));

    http_respond_bytes(request, error_code_status(error->code), PROBLEM_MEDIA_TYPE,
                       text ? text : "{}", text ? strlen(text) : 2);
}

static void respond_stream(struct http_request *request, int status, const char *media_type,
                           struct stream *stream)
{
    char id[STREAM_ID_SIZE];
    struct error err;
    int offered = request->http->streams
                      ? streams_offer(request->http->streams, stream, id, &err)
                      : error_set(&err, ERR_INTERNAL, "this server has no streams");

    if (offered < 0) {
        http_respond_problem(request, &err);
        return;
    }
    request->keeps = false;
    http_response_header(request, EDGE_STREAM_FIELD, id);
    http_respond_bytes(request, status, media_type, NULL, 0);
}

void http_respond_stream(struct http_request *request, const char *media_type,
                         struct stream *stream)
{
    respond_stream(request, 200, media_type, stream);
}

/* The edge gives the connection to no other request, and waits for its end. */
void http_respond_pushed_stream(struct http_request *request, const char *media_type,
                                struct stream *stream)
{
    mg_disable_connection_keep_alive(request->connection);
    http_response_header(request, "Connection", "close");
    respond_stream(request, 200, media_type, stream);
}

/* The edge makes a 101 of it: that status means something else between it and civetweb. */
void http_respond_upgrade(struct http_request *request, struct stream *stream)
{
    respond_stream(request, 204, NULL, stream);
}

bool http_request_asks_websocket(const struct http_request *request)
{
    return http_request_header(request, EDGE_UPGRADE_FIELD) != NULL;
}

/* An answer that was not ended breaks off with the connection; http_respond_end heals that. */
void http_respond_begin(struct http_request *request, int status, const char *media_type,
                        uint64_t size)
{
    char head[HTTP_ANSWER_HEAD_MAX];
    size_t head_size;

    if (request->status != 0)
        return;
    if (request->answer.broken) {
        http_respond_bytes(request, status, media_type, NULL, 0); /* says so */
        return;
    }
    request->status = status;
    request->keeps = false;
    request->in_pieces = true;
    request->left = size;
    head_size = http_answer_format(&request->answer, status, media_type, size, head);
    write_answer(request->connection, head, head_size);
}

bool http_respond_piece(struct http_request *request, const void *data, size_t size)
{
    if (!request->in_pieces || size > request->left)
        return false;
    if (request->method == HTTP_HEAD || size == 0)
        return true;
    if (request->left == HTTP_SIZE_UNKNOWN)
        return mg_send_chunk(request->connection, data, (unsigned)size) > 0;
    request->left -= size;
    return mg_write(request->connection, data, size) == (int)size;
}

void http_respond_end(struct http_request *request)
{
    if (!request->in_pieces)
        return;
    if (request->method == HTTP_HEAD || request->left == 0 ||
        (request->left == HTTP_SIZE_UNKNOWN && mg_send_chunk(request->connection, "", 0) > 0))
        request->in_pieces = false;
}

void http_respond_empty(struct http_request *request, int status)
{
    http_respond_bytes(request, status, NULL, NULL, 0);
}

static void http_request_free(struct http_request *request)
{
    free(request->body);
    free(request->kept.answer);
    free(request);
}

DEFINE_CLEANUP(struct http_request *, http_request, http_request_free)

static int parse_method(const char *text, enum http_method *ret_method, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(method_names); i++)
        if (strcmp(text, method_names[i]) == 0) {
            *ret_method = (enum http_method)i;
            return 0;
        }
    return error_set(err, ERR_NOT_IMPLEMENTED, "there is no such method");
}

/* Exactly one X-Atoll-Edge with our secret. */
static bool came_from_edge(struct http *http, struct http_request *request)
{
    const struct mg_request_info *info = request->info;
    const char *value = NULL;

    for (int i = 0; i < info->num_headers; i++) {
        if (strcasecmp(info->http_headers[i].name, EDGE_LINK_FIELD) != 0)
            continue;
        if (value)
            return false;
        value = info->http_headers[i].value;
    }
    return value && edge_link_parse(value, http->secret, &request->link);
}

static void serve(struct http *http, struct http_request *request)
{
    struct error err;

    if (!came_from_edge(http, request)) {
        mg_disable_connection_keep_alive(request->connection);
        (void)error_set(&err, ERR_FORBIDDEN, "this port is private");
        http_respond_problem(request, &err);
        return;
    }
    if (parse_method(request->info->request_method, &request->method, &err) < 0 ||
        http_path_split(request->info->local_uri_raw, request->path, request->segments,
                        &request->segment_count, &err) < 0) {
        http_respond_problem(request, &err);
        return;
    }
    http->handler(request, http->user);
    if (request->status == 0) {
        (void)error_set(&err, ERR_INTERNAL, "the request was not answered");
        http_respond_problem(request, &err);
    }
}

/* civetweb's callback for every request. Whatever happens, civetweb is told that we answered. */
static int begin_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct http *http = mg_get_user_context_data(connection);
    _cleanup_(cleanup_http_request) struct http_request *request = NULL;
    const char *path = info->local_uri_raw;

    if (path)
        request = calloc(1, sizeof(*request) + strlen(path) + 1);
    if (!request) {
        mg_disable_connection_keep_alive(connection);
        return 500;
    }
    request->http = http;
    request->connection = connection;
    request->info = info;
    serve(http, request);
    if (request->in_pieces)
        mg_disable_connection_keep_alive(connection);
    /* civetweb ends the connection after a 401; the edge keeps its connections. */
    return 200;
}

static int log_message(__attribute__((unused)) const struct mg_connection *connection,
                       const char *message)
{
    log_debug("civetweb: %s", message);
    return 1;
}

static int find_port(struct http *http, struct error *err)
{
    struct mg_server_port port;

    if (mg_get_server_ports(http->context, 1, &port) != 1 || port.port <= 0)
        return error_set(err, ERR_INTERNAL, "civetweb has no port");
    http->port = (uint16_t)port.port;
    return 0;
}

/* The options, and why, are in docs/http.md. */
static struct mg_context *start_civetweb(struct http *http, const struct http_options *options)
{
    static const struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .log_message = log_message,
    };
    char threads[16];
    char timeout[16];
    char backlog[16];
    /* clang-format off */
    const char *settings[] = {
        "listening_ports", "127.0.0.1:0",
        "num_threads", threads,
        "connection_queue", backlog,
        "listen_backlog", backlog,
        "enable_keep_alive", "yes",
        "keep_alive_timeout_ms", "86400000",
        "request_timeout_ms", timeout,
        "tcp_nodelay", "1",
        "max_request_size", "65536",
        "decode_url", "no",
        "decode_query_string", "no",
        "enable_directory_listing", "no",
        "enable_auth_domain_check", "no",
        "access_control_allow_origin", "",
        "access_control_allow_methods", "",
        "access_control_allow_headers", "",
        NULL,
    };
    /* clang-format on */

    (void)snprintf(threads, sizeof(threads), "%u", options->threads);
    (void)snprintf(backlog, sizeof(backlog), "%u", options->threads + 16);
    (void)snprintf(timeout, sizeof(timeout), "%u", options->request_timeout_ms);
    return mg_start(&callbacks, http, settings);
}

/* Once a process, whatever number of servers it starts. */
static void init_library(void)
{
    mg_init_library(MG_FEATURES_DEFAULT);
}

int http_start(const struct http_options *options, struct http **ret_http, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http *http = calloc(1, sizeof(*http));

    if (!http)
        return error_no_memory(err);
    (void)pthread_once(&once, init_library);
    (void)snprintf(http->secret, sizeof(http->secret), "%s", options->edge_secret);
    http->handler = options->handler;
    http->user = options->user;
    http->streams = options->streams;
    http->context = start_civetweb(http, options);
    if (!http->context) {
        free(http);
        return error_set(err, ERR_INTERNAL, "cannot start civetweb");
    }
    if (find_port(http, err) < 0) {
        http_stop(http);
        return -1;
    }
    *ret_http = http;
    return 0;
}

uint16_t http_port(const struct http *http)
{
    return http->port;
}

static void *stop_civetweb(void *argument)
{
    mg_stop(argument);
    return NULL;
}

/* A connection that says nothing. */
static void knock(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0)
        (void)connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

/*
 * civetweb's threads look at its stop flag only when something arrives, or every two seconds; and
 * the flag is set inside mg_stop. So something arrives until mg_stop returns.
 */
void http_stop(struct http *http)
{
    struct timespec until;
    pthread_t thread;

    if (!http)
        return;
    if (pthread_create(&thread, NULL, stop_civetweb, http->context) != 0) {
        mg_stop(http->context);
    } else {
        do {
            knock(http->port);
            (void)clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += KNOCK_NSEC;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
        } while (pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT);
    }
    free(http);
}
