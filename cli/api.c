#include "cli/api.h"

#include "cli/plain.h"
#include "cli/table.h"
#include "lib/base/util.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECT_TIMEOUT_S = 10,
    KEEPALIVE_S = 30,       /* silence after which the kernel asks whether the service is there */
    ANSWER_MAX = 256 << 20, /* all that a command may write, as JSON */
    EVENT_MAX = 1 << 20,    /* the service's have 64 KiB at most */
    VALUES_MAX = 1000000,   /* of an answer: each takes some 100 bytes of memory, however short */
    EVENT_WORD_SIZE = 128,
};

struct api {
    CURL *curl;
    struct peer peer;
    bool json;
    const volatile sig_atomic_t *stop; /* NULL: nothing does */
};

/* Bytes that are sent as they are read. */
struct source {
    int fd;
    int error; /* errno of a failed read; 0: none */
};

struct request {
    const char *method;
    const char *path;
    const cJSON *body;     /* NULL: none, or */
    struct source *source; /* NULL: none */
};

/* What arrives. */
struct answer {
    char *data;
    size_t size;
    size_t capacity;
    size_t max;                                              /* of `size` */
    CURL *curl;                                              /* it knows the status */
    bool is_long;                                            /* it has more than `max` */
    bool (*take)(const struct api_event *event, void *user); /* of a stream */
    void *user;
    char name[EVENT_WORD_SIZE]; /* of the event whose lines are being read */
    char id[EVENT_WORD_SIZE];
    bool stopped; /* by take */
    FILE *out;    /* where bytes go that are no refusal; NULL: into `data` */
    int error;    /* errno of a failed write to `out`; 0: none */
};

DEFINE_CLEANUP(struct curl_slist *, curl_slist, curl_slist_free_all)

void api_free(struct api *api)
{
    if (!api)
        return;
    curl_easy_cleanup(api->curl);
    peer_done(&api->peer);
    free(api);
}

bool api_json(const struct api *api)
{
    return api->json;
}

void api_stop_at(struct api *api, const volatile sig_atomic_t *stop)
{
    api->stop = stop;
}

const struct peer *api_peer(struct api *api)
{
    peer_renew(&api->peer);
    return &api->peer;
}

int api_open(const struct cli *cli, const struct arguments *arguments, struct api **ret_api,
             struct error *err)
{
    _cleanup_api_ struct api *api = calloc(1, sizeof(*api));

    if (!api)
        return error_set_errno(err, ENOMEM, "cannot call the service");
    if (peer_find(&cli->config, arguments, &api->peer, err) < 0)
        return -1;
    api->json = argument_value(arguments, "--json");
    api->curl = curl_easy_init();
    if (!api->curl)
        return error_set(err, ERR_INTERNAL, "libcurl does not start");
    *ret_api = TAKE_PTR(api);
    return 0;
}

/* Room for `size` bytes more and a NUL: at least twice as much as before. */
static bool make_room(struct answer *answer, size_t size)
{
    size_t needed = answer->size + size + 1;
    char *larger;

    if (needed <= answer->capacity)
        return true;
    if (needed < 2 * answer->capacity)
        needed = 2 * answer->capacity;
    larger = realloc(answer->data, needed);
    if (!larger)
        return false;
    answer->data = larger;
    answer->capacity = needed;
    return true;
}

static bool append(struct answer *answer, const char *data, size_t size)
{
    answer->is_long = answer->size + size > answer->max;
    if (answer->is_long || !make_room(answer, size))
        return false;
    memcpy(answer->data + answer->size, data, size);
    answer->size += size;
    answer->data[answer->size] = '\0';
    return true;
}

/* What is behind "name:" of a line of an event; NULL when it is another. */
static const char *event_field(const char *line, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(line, name, length) != 0 || line[length] != ':')
        return NULL;
    line += length + 1;
    return line + (*line == ' ');
}

/* The service's events have one line of data each, and it is their last. */
static void take_line(struct answer *answer, const char *line)
{
    const char *name = event_field(line, "event");
    const char *id = event_field(line, "id");
    const char *data = event_field(line, "data");

    if (name)
        (void)snprintf(answer->name, sizeof(answer->name), "%s", name);
    if (id)
        (void)snprintf(answer->id, sizeof(answer->id), "%s", id);
    if (!data)
        return;
    answer->stopped =
        !answer->take(&(struct api_event){answer->name, answer->id, data}, answer->user);
    answer->name[0] = '\0';
}

/* Hands on the whole lines of a stream. */
static void take_lines(struct answer *answer)
{
    const char *limit = answer->data + answer->size;
    char *line = answer->data;
    char *end;

    while (!answer->stopped && (end = memchr(line, '\n', (size_t)(limit - line)))) {
        *end = '\0';
        take_line(answer, line);
        line = end + 1;
    }
    answer->size = (size_t)(limit - line);
    memmove(answer->data, line, answer->size + 1);
}

static bool is_refusal(const struct answer *answer)
{
    long status = 0;

    (void)curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status);
    return status < 200 || status >= 300;
}

static size_t write_out(struct answer *answer, const char *data, size_t size)
{
    size_t written = fwrite(data, 1, size, answer->out);

    if (written < size)
        answer->error = errno;
    return written;
}

static size_t receive(char *data, size_t size, size_t count, void *user)
{
    struct answer *answer = user;
    bool refused = is_refusal(answer);

    if (answer->out && !refused)
        return write_out(answer, data, size * count);
    if (!append(answer, data, size * count))
        return 0;
    if (answer->take && !refused)
        take_lines(answer);
    return answer->stopped ? 0 : size * count;
}

/* What is there is sent at once, not when the buffer is full. */
static size_t send_piece(char *buffer, size_t size, size_t count, void *user)
{
    struct source *source = user;
    ssize_t got;

    do
        got = read(source->fd, buffer, size * count);
    while (got < 0 && errno == EINTR);
    if (got >= 0)
        return (size_t)got;
    source->error = errno;
    return CURL_READFUNC_ABORT;
}

/* libcurl asks after every wait, which a signal ends. */
static int must_stop(void *user, __attribute__((unused)) curl_off_t down_total,
                     __attribute__((unused)) curl_off_t down,
                     __attribute__((unused)) curl_off_t up_total,
                     __attribute__((unused)) curl_off_t up)
{
    const struct api *api = user;

    return api->stop && *api->stop != 0;
}

static bool add_header(struct curl_slist **headers, const char *name, const char *value)
{
    _cleanup_free_ char *line = NULL;
    struct curl_slist *longer;

    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return false;
    }
    longer = curl_slist_append(*headers, line);
    if (longer)
        *headers = longer;
    return longer;
}

/* What is asked for. */
static const char *media_of(const struct answer *answer)
{
    if (answer->take)
        return "text/event-stream";
    return answer->out ? "*/*" : "application/json";
}

/* What a request's body is; NULL: it has none. */
static const char *type_of(const struct request *request)
{
    if (request->source)
        return "application/octet-stream";
    return request->body ? "application/json" : NULL;
}

static bool add_headers(const struct api *api, const char *type, const char *media,
                        struct curl_slist **headers)
{
    _cleanup_free_ char *bearer = NULL;

    if (asprintf(&bearer, "Bearer %s", api->peer.credential) < 0) {
        bearer = NULL;
        return false;
    }
    return add_header(headers, "Authorization", bearer) && add_header(headers, "Accept", media) &&
           add_header(headers, "Expect", "") &&
           (!type || add_header(headers, "Content-Type", type));
}

/* Without a length: the file may grow or shrink meanwhile. */
static bool set_source(CURL *curl, struct source *source)
{
    return curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_piece) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READDATA, source) == CURLE_OK;
}

static bool set_stop(CURL *curl, struct api *api)
{
    return curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, must_stop) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, api) == CURLE_OK;
}

static bool set_request(struct api *api, const struct request *request, const char *url,
                        const char *body, struct curl_slist *headers, struct answer *answer)
{
    CURL *curl = api->curl;

    curl_easy_reset(curl);
    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           (!request->source || set_source(curl, request->source)) && set_stop(curl, api) &&
           curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           (!api->peer.is_local || curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           (!body || curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) == CURLE_OK) &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;
}

/* One request; the HTTP status in *ret_status. */
static int perform(struct api *api, const struct request *request, struct answer *answer,
                   long *ret_status, struct error *err)
{
    _cleanup_(cleanup_curl_slist) struct curl_slist *headers = NULL;
    _cleanup_free_ char *text = request->body ? cJSON_PrintUnformatted(request->body) : NULL;
    _cleanup_free_ char *url = NULL;
    CURLcode code;

    peer_renew(&api->peer);
    if (asprintf(&url, "%s%s", api->peer.url, request->path) < 0)
        url = NULL;
    if (!url || (request->body && !text) ||
        !add_headers(api, type_of(request), media_of(answer), &headers) ||
        !set_request(api, request, url, text, headers, answer))
        return error_set_errno(err, ENOMEM, "cannot call the service");
    answer->curl = api->curl;
    answer->max = answer->take ? EVENT_MAX : ANSWER_MAX;
    code = curl_easy_perform(api->curl);
    if (answer->is_long)
        return error_set(err, ERR_CONFLICT, "%s answers with more than %zu bytes",
                         api->peer.shown_url, answer->max);
    if (code != CURLE_OK && !answer->stopped)
        return error_set(err, ERR_UNAVAILABLE, "%s: %s", api->peer.shown_url,
                         curl_easy_strerror(code));
    (void)curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, ret_status);
    return 0;
}

/* False for more than VALUES_MAX: each but the first stands behind one of these, in no string. */
static bool has_few_values(const char *text, size_t size)
{
    bool is_string = false;
    size_t count = 1;

    for (size_t i = 0; i < size && count <= VALUES_MAX; i++) {
        if (is_string && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            is_string = !is_string;
        else if (!is_string && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            count++;
    }
    return count <= VALUES_MAX;
}

/* NULL when it is none, or not the service's. */
static cJSON *parse_answer(const struct answer *answer)
{
    return answer->size > 0 && has_few_values(answer->data, answer->size)
               ? cJSON_ParseWithLength(answer->data, answer->size)
               : NULL;
}

/* A part of the service that is away, or all of it behind a proxy, is told by 502 to 504. */
enum error_code api_refusal_code(long status)
{
    if (status == 404)
        return ERR_NOT_FOUND;
    return status >= 502 && status <= 504 ? ERR_UNAVAILABLE : ERR_CONFLICT;
}

/* The service's refusal as an error. */
static int refused(long status, const struct answer *answer, struct error *err)
{
    _cleanup_cjson_ cJSON *problem = parse_answer(answer);
    enum error_code code = api_refusal_code(status);
    const char *detail = cJSON_GetStringValue(table_member(problem, "detail"));
    const char *request = cJSON_GetStringValue(table_member(problem, "request_id"));

    if (!detail)
        return error_set(err, code, "the service answered %ld", status);
    return error_set(err, code, "%s (%ld, request %s)", detail, status, request ? request : "?");
}

int api_not_the_service(const struct api *api, struct error *err)
{
    return error_set(err, ERR_CONFLICT, "%s does not answer as the service does",
                     api->peer.shown_url);
}

static int call(struct api *api, const struct request *request, bool print, cJSON **ret_answer,
                struct error *err)
{
    struct answer answer = {.data = NULL};
    _cleanup_cjson_ cJSON *json = NULL;
    long status = 0;
    int result = perform(api, request, &answer, &status, err);

    if (result == 0 && (status < 200 || status >= 300))
        result = refused(status, &answer, err);
    if (result == 0 && answer.size > 0) {
        json = parse_answer(&answer);
        if (!json)
            result = api_not_the_service(api, err);
    }
    if (result == 0 && print && answer.size > 0)
        plain_json(stdout, answer.data);
    free(answer.data);
    if (result == 0)
        *ret_answer = TAKE_PTR(json);
    return result;
}

int api_call(struct api *api, const char *method, const char *path, const cJSON *body,
             cJSON **ret_answer, struct error *err)
{
    return call(api, &(struct request){.method = method, .path = path, .body = body}, api->json,
                ret_answer, err);
}

int api_get(struct api *api, const char *path, cJSON **ret_answer, struct error *err)
{
    return call(api, &(struct request){.method = "GET", .path = path}, false, ret_answer, err);
}

int api_show(struct api *api, const char *method, const char *path, const cJSON *body,
             struct error *err)
{
    _cleanup_cjson_ cJSON *answer = NULL;

    if (api_call(api, method, path, body, &answer, err) < 0)
        return -1;
    if (answer && !api->json)
        table_print_object(stdout, answer);
    return CLI_OK;
}

int api_show_member(struct api *api, const char *method, const char *path, const cJSON *body,
                    const char *member, struct error *err)
{
    _cleanup_cjson_ cJSON *answer = NULL;
    const cJSON *word;
    _cleanup_free_ char *text = NULL;

    if (api_call(api, method, path, body, &answer, err) < 0)
        return -1;
    word = table_member(answer, member);
    if (!cJSON_IsString(word))
        return api_not_the_service(api, err);
    text = table_value_text(word, COLUMN_TEXT);
    if (!text)
        return error_set_errno(err, ENOMEM, "cannot print it");
    if (!api->json)
        (void)puts(text);
    return CLI_OK;
}

int api_follow(struct api *api, const char *method, const char *path, const cJSON *body,
               bool (*take)(const struct api_event *event, void *user), void *user,
               struct error *err)
{
    const struct request request = {.method = method, .path = path, .body = body};
    struct answer answer = {.take = take, .user = user};
    long status = 0;
    int result = perform(api, &request, &answer, &status, err);

    if (result == 0 && status != 200)
        result = refused(status, &answer, err);
    free(answer.data);
    return result < 0 ? -1 : CLI_OK;
}

int api_save(struct api *api, const char *path, FILE *out, struct error *err)
{
    const struct request request = {.method = "GET", .path = path};
    struct answer answer = {.out = out};
    long status = 0;
    int result = perform(api, &request, &answer, &status, err);

    if (result == 0 && (status < 200 || status >= 300))
        result = refused(status, &answer, err);
    free(answer.data);
    if (result == 0 && fflush(out) != 0)
        answer.error = errno;
    if (answer.error != 0)
        return error_set_errno(err, answer.error, "cannot write what was read");
    return result < 0 ? -1 : CLI_OK;
}

int api_send(struct api *api, const char *path, int fd, struct error *err)
{
    struct source source = {.fd = fd};
    const struct request request = {.method = "PUT", .path = path, .source = &source};
    _cleanup_cjson_ cJSON *answer = NULL;
    int result = call(api, &request, api->json, &answer, err);

    if (source.error != 0)
        return error_set_errno(err, source.error, "cannot read what is sent");
    return result < 0 ? -1 : CLI_OK;
}

int api_check_id(const char *text, struct error *err)
{
    struct id id;

    if (!id_parse(text, &id))
        return error_set(err, ERR_BAD_REQUEST, "%.128s is not an id (32 hex digits)", text);
    return 0;
}
