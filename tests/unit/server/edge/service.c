#include "tests/unit/server/edge/service.h"

#include "lib/base/util.h"
#include "server/http/link.h"
#include "server/stream/stream.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BODY_MAX = 32 * 1024 * 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned waiting;
static bool let_go;

static void handle_health(struct http_request *request)
{
    cJSON *body = cJSON_CreateObject();

    cJSON_AddStringToObject(body, "status", "healthy");
    http_respond_json(request, 200, body);
    cJSON_Delete(body);
}

static void handle_echo(struct http_request *request)
{
    char text[16];
    uint64_t max = BODY_MAX;
    const char *data;
    size_t size;
    struct error err;

    if (http_request_query_value(request, "max", text, sizeof(text), NULL) == 1)
        (void)parse_u64(text, BODY_MAX, &max);
    if (http_request_body(request, max, &data, &size, &err) < 0)
        http_respond_problem(request, &err);
    else
        http_respond_bytes(request, 200, "application/octet-stream", data, size);
}

static void handle_bytes(struct http_request *request)
{
    char text[16];
    uint64_t count = 0;
    char *data;

    if (http_request_query_value(request, "count", text, sizeof(text), NULL) == 1)
        (void)parse_u64(text, BODY_MAX, &count);
    data = malloc(count + 1);
    memset(data, 'x', count);
    http_respond_bytes(request, 200, "text/plain", data, count);
    free(data);
}

/* Takes a body of any size, and tells how many bytes it had. */
static void handle_count(struct http_request *request)
{
    char piece[30000];
    char text[32];
    size_t total = 0;
    struct error err;
    ssize_t size;

    while ((size = http_request_read(request, piece, sizeof(piece), &err)) > 0)
        total += (size_t)size;
    (void)snprintf(text, sizeof(text), "%zu", total);
    if (size < 0)
        http_respond_problem(request, &err);
    else
        http_respond_bytes(request, 200, "text/plain", text, strlen(text));
}

/* `count` times 1,000 bytes; with `announced` other than `count` an answer that is not whole, with
 * `announced` 0 one whose size nobody knows. */
static void handle_pieces(struct http_request *request)
{
    char text[16];
    char piece[1000];
    uint64_t count = 0;
    uint64_t announced = 0;

    memset(piece, 'x', sizeof(piece));
    if (http_request_query_value(request, "count", text, sizeof(text), NULL) == 1)
        (void)parse_u64(text, BODY_MAX, &count);
    if (http_request_query_value(request, "announced", text, sizeof(text), NULL) == 1)
        (void)parse_u64(text, BODY_MAX, &announced);
    http_respond_begin(request, 200, "text/plain",
                       announced > 0 ? announced * sizeof(piece) : HTTP_SIZE_UNKNOWN);
    for (uint64_t i = 0; i < count; i++)
        if (!http_respond_piece(request, piece, sizeof(piece)))
            return;
    http_respond_end(request);
}

/* Answers again what it has answered: to whom would that go? */
static void handle_twice(struct http_request *request)
{
    http_respond_empty(request, 204);
    http_respond_begin(request, 200, "text/plain", 5);
    if (http_respond_piece(request, "twice", 5))
        http_respond_end(request);
}

static void handle_headers(struct http_request *request)
{
    static const char *const names[] = {
        "Authorization", "X-Own",  "Connection", "X-Hop",   "X-Atoll-Edge",
        "X-Atoll-Role",  "Expect", "Keep-Alive", "Upgrade", "Host",
    };
    cJSON *body = cJSON_CreateObject();

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (http_request_header(request, names[i]))
            cJSON_AddStringToObject(body, names[i], http_request_header(request, names[i]));
    cJSON_AddStringToObject(body, "method", http_method_name(http_request_method(request)));
    cJSON_AddStringToObject(body, "id", http_request_id(request));
    cJSON_AddStringToObject(body, "client", http_request_client(request));
    cJSON_AddStringToObject(body, "host", http_request_host(request));
    cJSON_AddStringToObject(body, "path", http_request_raw_path(request));
    cJSON_AddStringToObject(body, "query", http_request_query(request));
    cJSON_AddNumberToObject(body, "own", (double)http_request_header_count(request, "X-Own"));
    http_respond_json(request, 200, body);
    cJSON_Delete(body);
}

static void handle_early(struct http_request *request)
{
    struct error err;

    (void)error_set(&err, ERR_FORBIDDEN, "not you");
    http_respond_problem(request, &err);
}

static void wait_here(void)
{
    pthread_mutex_lock(&lock);
    waiting++;
    pthread_cond_broadcast(&changed);
    while (!let_go)
        pthread_cond_wait(&changed, &lock);
    waiting--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void handle_wait(struct http_request *request)
{
    wait_here();
    http_respond_empty(request, 204);
}

static void handle_silent(__attribute__((unused)) struct http_request *request)
{
}

static void handle_segments(struct http_request *request)
{
    cJSON *body = cJSON_CreateArray();

    for (size_t i = 0; i < http_request_segment_count(request); i++)
        cJSON_AddItemToArray(body, cJSON_CreateString(http_request_segment(request, i)));
    http_respond_json(request, 201, body);
    cJSON_Delete(body);
}

/* What stream the last /stream made; under the lock. */
static struct stream *latest;
static unsigned gone_count;
static struct streams *streams;

static void note_gone(__attribute__((unused)) void *user)
{
    pthread_mutex_lock(&lock);
    gone_count++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void make_latest(struct stream *stream)
{
    pthread_mutex_lock(&lock);
    stream_unref(latest);
    latest = stream;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void handle_stream(struct http_request *request)
{
    struct stream *stream;
    struct error err;

    assert_int_equal(stream_new(streams, SERVICE_STREAM_CAPACITY, &stream, &err), 0);
    stream_set_wake(stream, note_gone, NULL);
    if (strcmp(http_request_query(request), "heartbeat") == 0)
        stream_set_heartbeat(stream, ": heartbeat\n\n");
    http_response_header(request, "X-Own", "kept");
    http_respond_stream(request, "text/event-stream", stream);
    make_latest(stream);
}

static void handle_pushed(struct http_request *request)
{
    struct stream *stream;
    struct error err;

    assert_int_equal(stream_new(streams, SERVICE_STREAM_CAPACITY, &stream, &err), 0);
    http_respond_pushed_stream(request, "text/plain", stream);
    make_latest(stream);
    wait_here();
}

/* More than sockets take: without a reader it cannot be written. */
static void handle_unread(struct http_request *request)
{
    char *data = calloc(1, BODY_MAX);

    http_respond_bytes(request, 200, "text/plain", data, BODY_MAX);
    free(data);
    wait_here();
}

static void handle_late(struct http_request *request)
{
    wait_here();
    handle_stream(request);
}

/* An answer that names a stream which nobody offered. */
static void handle_forged(struct http_request *request)
{
    http_response_header(request, EDGE_STREAM_FIELD, "0123456789abcdef0123456789abcdef");
    http_respond_bytes(request, 200, "text/plain", "x", 1);
}

static const struct {
    const char *name;
    void (*handle)(struct http_request *request);
} routes[] = {
    {"health", handle_health},   {"echo", handle_echo},         {"bytes", handle_bytes},
    {"headers", handle_headers}, {"early", handle_early},       {"wait", handle_wait},
    {"silent", handle_silent},   {"segments", handle_segments}, {"stream", handle_stream},
    {"forged", handle_forged},   {"count", handle_count},       {"pieces", handle_pieces},
    {"twice", handle_twice},     {"late", handle_late},         {"pushed", handle_pushed},
    {"unread", handle_unread},   {"unread", handle_unread},
};

static void handle(struct http_request *request, __attribute__((unused)) void *user)
{
    const char *name = http_request_segment(request, 0);
    struct error err;

    for (size_t i = 0; name && i < ARRAY_SIZE(routes); i++)
        if (strcmp(routes[i].name, name) == 0) {
            routes[i].handle(request);
            return;
        }
    (void)error_set(&err, ERR_NOT_FOUND, "no such thing");
    http_respond_problem(request, &err);
}

struct edge_options service_options(void)
{
    return (struct edge_options){
        .host = "127.0.0.1",
        .max_connections = 2048,
        .upstreams = 4,
        .max_queued = 64,
        .queue_timeout_ms = 60000,
        .limits =
            {
                .max_body_bytes = 8 * 1024 * 1024,
                .request_timeout_ms = 20000,
                .idle_timeout_ms = 20000,
            },
    };
}

void service_start(struct service *service, struct edge_options *options)
{
    const struct streams_options stream_options = {.guard_ms = 20, .offer_ms = 20000};
    struct error err = {0};

    assert_int_equal(streams_create(&stream_options, &streams, &err), 0);
    struct http_options http_options = {
        .threads = options->upstreams,
        .request_timeout_ms = options->limits.idle_timeout_ms,
        .edge_secret = service->secret,
        .streams = streams,
        .handler = handle,
    };

    waiting = 0;
    let_go = false;
    latest = NULL;
    gone_count = 0;
    options->streams = streams;
    assert_int_equal(edge_secret_new(service->secret, &err), 0);
    assert_int_equal(http_start(&http_options, &service->http, &err), 0);
    options->secret = service->secret;
    options->upstream_port = http_port(service->http);
    assert_int_equal(edge_start(options, &service->edge, &service->port, &err), 0);
    assert_int_not_equal(service->port, 0);
}

void service_stop(struct service *service)
{
    service_let_go();
    edge_stop(service->edge, 5000);
    http_stop(service->http);
    stream_unref(latest);
    latest = NULL;
    streams_free(streams);
}

struct stream *service_await_stream(void)
{
    struct stream *stream;

    pthread_mutex_lock(&lock);
    while (!latest)
        pthread_cond_wait(&changed, &lock);
    stream = latest;
    latest = NULL;
    pthread_mutex_unlock(&lock);
    return stream;
}

void service_await_gone(unsigned count)
{
    pthread_mutex_lock(&lock);
    while (gone_count < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void service_await_waiting(unsigned count)
{
    pthread_mutex_lock(&lock);
    while (waiting < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

void service_let_go(void)
{
    pthread_mutex_lock(&lock);
    let_go = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
