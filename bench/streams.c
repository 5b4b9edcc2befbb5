/*
 * Follows many commands at once as server-sent events, and says how late their lines came and
 * whether all of them did. One thread, one epoll, one connection for each stream.
 *
 *   streams --addr HOST:PORT --token T --sandbox ID [--sandbox ID ...]
 *           --streams N --rate PER_SECOND --lines N --program PATH
 *
 * Each stream is `POST /v1/sandboxes/{id}/exec` of PATH, a ticker (bench/ticker.c), with
 * `Accept: text/event-stream`; the sandboxes take them in turn. A line carries its number and the
 * time it was written, so its delay is what lies between that and the moment this program has read
 * it. One JSON line on stdout: p50/p95/p99 of all delays, and of those while all streams ran
 * (`together`: neither the starts nor the ends of the commands are in it), the lines that never
 * came, and the streams that ended before their `exit`.
 */
#include "bench/http.h"
#include "bench/samples.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/epoll.h>

enum { STREAMS_MAX = 1000, SANDBOXES_MAX = 64, EVENTS_MAX = 64, SILENCE_MAX_MS = 30000 };
enum { TEXT_MAX = 262144, OUTPUT_MAX = 64, READ_SIZE = 65536 };

/* Where in a chunked body (RFC 9112, section 7.1) the next byte belongs. */
enum framing { FRAMING_HEAD, FRAMING_SIZE, FRAMING_DATA, FRAMING_DATA_END };

struct stream {
    struct http_connection connection;
    enum framing framing;
    size_t chunk;   /* bytes of it that are to come, or its size as far as it was read */
    int head_match; /* bytes of the "\r\n\r\n" behind the head that were seen */
    char text[TEXT_MAX];
    size_t text_size; /* of a line of the event stream that is not whole */
    bool is_exit;     /* the event that is being read is the last one */
    bool complete;
    bool closed;
    char output[OUTPUT_MAX]; /* a line of the command's output that is not whole */
    size_t output_size;
    uint64_t last_number;
};

struct follower {
    struct http_target target;
    const char *sandboxes[SANDBOXES_MAX];
    size_t sandbox_count;
    const char *program;
    uint64_t count;
    uint64_t rate;
    uint64_t lines;
    int epoll;
    uint64_t running; /* streams that have brought a line, and not their last */
    struct samples delays;
    struct samples together;
    uint64_t missing;
    int64_t now_usec; /* when what is being looked at was read */
};

static void die(const char *what)
{
    fprintf(stderr, "streams: %s\n", what);
    exit(1);
}

/* A line that the command wrote: "<number> <microseconds>". */
static void take_output_line(struct follower *follower, struct stream *stream)
{
    char *end;
    uint64_t number = strtoull(stream->output, &end, 10);
    uint64_t written_usec = strtoull(end, &end, 10);
    if (*end != '\0' || written_usec == 0 || number <= stream->last_number)
        die("a line came twice, or is not what the ticker wrote");
    follower->missing += number - stream->last_number - 1;
    follower->running += stream->last_number == 0;
    stream->last_number = number;
    if (!samples_add(&follower->delays, follower->now_usec - (int64_t)written_usec) ||
        (follower->running == follower->count &&
         !samples_add(&follower->together, follower->now_usec - (int64_t)written_usec)))
        die("out of memory");
    follower->running -= number == follower->lines;
}

static void take_output(struct follower *follower, struct stream *stream, const char *data)
{
    for (; *data; data++) {
        if (stream->output_size == OUTPUT_MAX - 1)
            die("a line is longer than the ticker writes them");
        if (*data != '\n') {
            stream->output[stream->output_size++] = *data;
            continue;
        }
        stream->output[stream->output_size] = '\0';
        stream->output_size = 0;
        take_output_line(follower, stream);
    }
}

/* A line of the event stream, NUL-terminated. */
static void take_event_line(struct follower *follower, struct stream *stream)
{
    if (strncmp(stream->text, "event: ", 7) == 0)
        stream->is_exit = strcmp(stream->text + 7, "exit") == 0;
    if (strncmp(stream->text, "data: ", 6) != 0)
        return;
    _cleanup_cjson_ cJSON *event = cJSON_Parse(stream->text + 6);
    const char *data = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "data"));
    if (data)
        take_output(follower, stream, data);
    if (stream->is_exit) {
        const cJSON *code = cJSON_GetObjectItemCaseSensitive(event, "exit_code");
        stream->complete = cJSON_IsNumber(code) && code->valuedouble == 0;
    }
}

static void take_text(struct follower *follower, struct stream *stream, const char *data,
                      size_t size)
{
    while (size > 0) {
        const char *end = memchr(data, '\n', size);
        size_t part = end ? (size_t)(end - data) : size;
        if (part >= TEXT_MAX - stream->text_size)
            die("a line of the event stream is too long");
        memcpy(stream->text + stream->text_size, data, part);
        stream->text_size += part;
        if (!end)
            return;
        stream->text[stream->text_size] = '\0';
        stream->text_size = 0;
        take_event_line(follower, stream);
        data += part + 1;
        size -= part + 1;
    }
}

/* A byte of the head: what is behind the head's empty line is the body. */
static void take_head(struct stream *stream, char c)
{
    static const char END[] = "\r\n\r\n";
    static const char STATUS[] = "HTTP/1.1 200 ";
    if (stream->text_size < sizeof(STATUS) - 1) {
        if (c != STATUS[stream->text_size++])
            die("a stream was refused");
        return;
    }
    stream->head_match = c == END[stream->head_match] ? stream->head_match + 1 : c == END[0];
    if (stream->head_match == sizeof(END) - 1) {
        stream->framing = FRAMING_SIZE;
        stream->text_size = 0;
    }
}

static void take_chunk_size(struct stream *stream, char c)
{
    if (c == '\n')
        stream->framing = stream->chunk ? FRAMING_DATA : FRAMING_DATA_END;
    else if (c != '\r')
        stream->chunk = stream->chunk * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
}

/* Takes the framing off what was received. */
static void take_bytes(struct follower *follower, struct stream *stream, const char *data,
                       size_t size)
{
    while (size > 0) {
        size_t part = 1;
        switch (stream->framing) {
        case FRAMING_HEAD:
            take_head(stream, *data);
            break;
        case FRAMING_SIZE:
            take_chunk_size(stream, *data);
            break;
        case FRAMING_DATA:
            part = size < stream->chunk ? size : stream->chunk;
            take_text(follower, stream, data, part);
            stream->chunk -= part;
            if (stream->chunk == 0)
                stream->framing = FRAMING_DATA_END;
            break;
        case FRAMING_DATA_END:
            if (*data == '\n')
                stream->framing = FRAMING_SIZE;
            break;
        }
        data += part;
        size -= part;
    }
}

static void open_stream(struct follower *follower, struct stream *stream, const char *sandbox)
{
    char path[256];
    char body[512];
    struct error err = {0};
    (void)snprintf(path, sizeof(path), "/v1/sandboxes/%s/exec", sandbox);
    (void)snprintf(body, sizeof(body), "{\"command\":[\"%s\",\"%llu\",\"%llu\"]}",
                   follower->program, (unsigned long long)follower->rate,
                   (unsigned long long)follower->lines);
    stream->connection.fd = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = stream};
    if (http_connect(&stream->connection, &follower->target, &err) < 0 ||
        http_request(&stream->connection, &follower->target, "POST", path, body, &err) < 0)
        die(err.message);
    if (http_wants_write(&stream->connection) ||
        epoll_ctl(follower->epoll, EPOLL_CTL_ADD, stream->connection.fd, &event) < 0)
        die("a request was not sent at once");
}

/* Reads what there is. */
static void read_stream(struct follower *follower, struct stream *stream)
{
    char data[READ_SIZE];
    ssize_t size = recv(stream->connection.fd, data, sizeof(data), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        follower->now_usec = monotonic_usec();
        take_bytes(follower, stream, data, (size_t)size);
    }
    if (size <= 0 || stream->complete) {
        http_free(&stream->connection);
        stream->closed = true;
    }
}

static void follow(struct follower *follower)
{
    uint64_t open = follower->count;
    while (open > 0) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(follower->epoll, events, EVENTS_MAX, SILENCE_MAX_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            die("no stream has said anything for half a minute");
        for (int i = 0; i < ready; i++) {
            struct stream *stream = events[i].data.ptr;
            read_stream(follower, stream);
            open -= stream->closed;
        }
    }
}

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t value = 0;
    if (!parse_u64(text, max, &value))
        die("an option's number is wrong");
    return value;
}

static void take_option(struct follower *follower, int option)
{
    struct error err = {0};
    switch (option) {
    case 'a':
        if (http_target_parse(optarg, &follower->target, &err) < 0)
            die(err.message);
        break;
    case 't':
        follower->target.token = optarg;
        break;
    case 'i':
        if (follower->sandbox_count == SANDBOXES_MAX)
            die("too many sandboxes");
        follower->sandboxes[follower->sandbox_count++] = optarg;
        break;
    case 'n':
        follower->count = number(optarg, STREAMS_MAX);
        break;
    case 'r':
        follower->rate = number(optarg, 10000);
        break;
    case 'l':
        follower->lines = number(optarg, 10000000);
        break;
    case 'p':
        follower->program = optarg;
        break;
    default:
        exit(2);
    }
}

static void parse_options(struct follower *follower, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"addr", required_argument, NULL, 'a'},    {"token", required_argument, NULL, 't'},
        {"sandbox", required_argument, NULL, 'i'}, {"streams", required_argument, NULL, 'n'},
        {"rate", required_argument, NULL, 'r'},    {"lines", required_argument, NULL, 'l'},
        {"program", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
        take_option(follower, option);
    if (!follower->target.token || !follower->sandbox_count || !follower->count ||
        !follower->rate || !follower->lines || !follower->program)
        die("needs --addr, --token, --sandbox, --streams, --rate, --lines and --program");
    follower->target.accept = "text/event-stream";
}

static void print_result(struct follower *follower, const struct stream *streams)
{
    uint64_t unfinished = 0;
    for (uint64_t i = 0; i < follower->count; i++) {
        follower->missing += follower->lines - streams[i].last_number;
        unfinished += !streams[i].complete;
    }
    printf("{");
    samples_print(&follower->delays);
    printf(",\"together\":{");
    samples_print(&follower->together);
    printf("},\"streams\":%llu,\"lost\":%llu,\"unfinished\":%llu}\n",
           (unsigned long long)follower->count, (unsigned long long)follower->missing,
           (unsigned long long)unfinished);
}

int main(int argc, char **argv)
{
    struct follower follower = {0};
    parse_options(&follower, argc, argv);
    follower.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct stream *streams = calloc(follower.count, sizeof(*streams));
    if (follower.epoll < 0 || !streams)
        die("out of memory or descriptors");
    for (uint64_t i = 0; i < follower.count; i++)
        open_stream(&follower, &streams[i], follower.sandboxes[i % follower.sandbox_count]);
    follow(&follower);
    print_result(&follower, streams);
    samples_free(&follower.delays);
    samples_free(&follower.together);
    free(streams);
    close(follower.epoll);
    return 0;
}
