/*
 * HTTP load on a running Atoll: a client that costs as little as it can, so that what is measured
 * is the service. One thread, one epoll, one keep-alive connection for each parallel client, exact
 * percentiles.
 *
 *   load --addr HOST:PORT [--token T] [--count N | --seconds S] [--parallel P] [--warmup N]
 *        --cycle BODY     create a sandbox from BODY, execute it, delete it
 *        --get PATH       GET PATH
 *
 * One JSON line on stdout: p50/p95/p99 of a whole cycle and of each step, the medians of the
 * server's own `stages`, cycles a second, and every failure counted. A cycle with a status other
 * than 2xx, or with an execution that did not succeed, is an error and no sample; the first such
 * answer is shown. A keep-alive connection that the server closed between two requests is opened
 * again, as any HTTP client does (RFC 9112, section 9.3.1), and counted in `reconnects`.
 */
#include "bench/http.h"
#include "bench/samples.h"
#include "lib/base/util.h"
#include "lib/json/json.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sys/epoll.h>

enum { PARALLEL_MAX = 1024, ID_MAX = 64, STAGES_MAX = 24, STAGE_NAME_MAX = 32 };
enum { ANSWER_TIMEOUT_MS = 120000, EVENTS_MAX = 64, FIRST_ERROR_MAX = 240 };

/* What one cycle consists of: steps from `first` to `last`. */
enum step { STEP_CREATE, STEP_EXECUTE, STEP_DELETE, STEP_GET, STEP_COUNT };

static const struct {
    const char *name;
    const char *method;
    const char *suffix; /* behind "/sandbox/<id>"; NULL: the path does not name a sandbox */
} STEPS[STEP_COUNT] = {
    [STEP_CREATE] = {"create", "POST", NULL},
    [STEP_EXECUTE] = {"execute", "POST", "/execute"},
    [STEP_DELETE] = {"delete", "DELETE", ""},
    [STEP_GET] = {"get", "GET", NULL},
};

struct stage {
    char name[STAGE_NAME_MAX];
    struct samples samples;
};

struct client {
    struct http_connection connection;
    enum step step;
    char id[ID_MAX];
    bool active; /* in a cycle, with a request under way */
    bool failed; /* something in this cycle went wrong */
    int64_t cycle_started_usec;
    int64_t step_started_usec;
};

struct load {
    struct http_target target;
    const char *cycle_body;
    const char *get_path;
    enum step first;
    enum step last;
    uint64_t count;
    uint64_t seconds;
    uint64_t parallel;
    uint64_t warmup;

    int epoll;
    uint64_t started;
    uint64_t target_count; /* 0: until end_usec */
    int64_t end_usec;
    uint64_t alive;

    struct samples cycle;
    struct samples steps[STEP_COUNT];
    struct stage stages[STAGES_MAX];
    size_t stage_count;
    uint64_t errors;
    uint64_t reconnects;
    char first_error[FIRST_ERROR_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void die_error(const struct error *err)
{
    die(err->message);
}

static void book(struct samples *samples, int64_t usec)
{
    if (!samples_add(samples, usec))
        die("out of memory");
}

/* Keeps the first failure as text that needs no JSON escapes. */
static void note_error(struct load *load, const char *step, int status, const char *body)
{
    if (load->first_error[0])
        return;
    (void)snprintf(load->first_error, sizeof(load->first_error), "%s: %d %s", step, status, body);
    for (char *c = load->first_error; *c; c++) {
        if (*c < ' ' || *c > '~' || *c == '\\')
            *c = ' ';
        else if (*c == '"')
            *c = '\'';
    }
}

static void arm(struct load *load, struct client *client, int operation)
{
    uint32_t wanted = http_wants_write(&client->connection) ? EPOLLOUT : 0;
    struct epoll_event event = {.events = EPOLLIN | wanted, .data.ptr = client};
    if (epoll_ctl(load->epoll, operation, client->connection.fd, &event) < 0)
        die(strerror(errno));
}

static void reconnect(struct load *load, struct client *client)
{
    struct error err = {0};
    http_close(&client->connection);
    if (http_connect(&client->connection, &load->target, &err) < 0)
        die_error(&err);
    arm(load, client, EPOLL_CTL_ADD);
}

static void send_step(struct load *load, struct client *client)
{
    struct error err = {0};
    char path[ID_MAX + 32];
    const char *suffix = STEPS[client->step].suffix;
    const char *body = NULL;
    if (suffix)
        (void)snprintf(path, sizeof(path), "/sandbox/%s%s", client->id, suffix);
    else
        (void)snprintf(path, sizeof(path), "/sandbox");
    if (client->step == STEP_CREATE)
        body = load->cycle_body;

    const char *target = client->step == STEP_GET ? load->get_path : path;
    client->step_started_usec = monotonic_usec();
    if (http_request(&client->connection, &load->target, STEPS[client->step].method, target, body,
                     &err) < 0)
        die_error(&err);
    if (http_wants_write(&client->connection))
        arm(load, client, EPOLL_CTL_MOD);
}

static void start_cycle(struct load *load, struct client *client)
{
    bool more =
        load->target_count ? load->started < load->target_count : monotonic_usec() < load->end_usec;
    client->active = more;
    if (!more) {
        load->alive--;
        return;
    }
    load->started++;
    client->failed = false;
    client->step = load->first;
    client->cycle_started_usec = monotonic_usec();
    send_step(load, client);
}

static void end_cycle(struct load *load, struct client *client)
{
    if (client->failed)
        load->errors++;
    else
        book(&load->cycle, monotonic_usec() - client->cycle_started_usec);
    start_cycle(load, client);
}

static struct samples *stage_samples(struct load *load, const char *name)
{
    for (size_t i = 0; i < load->stage_count; i++) {
        if (strcmp(load->stages[i].name, name) == 0)
            return &load->stages[i].samples;
    }
    if (load->stage_count == STAGES_MAX || strlen(name) >= STAGE_NAME_MAX)
        die("the server sent more stages than fit");
    struct stage *stage = &load->stages[load->stage_count++];
    (void)snprintf(stage->name, sizeof(stage->name), "%s", name);
    return &stage->samples;
}

/* False when the execution did not end well. */
static bool take_execution(struct load *load, const cJSON *answer)
{
    const cJSON *stage = NULL;
    cJSON_ArrayForEach(stage, cJSON_GetObjectItemCaseSensitive(answer, "stages"))
    {
        if (cJSON_IsNumber(stage))
            book(stage_samples(load, stage->string), (int64_t)stage->valuedouble);
    }
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(answer, "exit_code");
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "success")) &&
           cJSON_IsNumber(code) && code->valuedouble == 0;
}

/* False when a sandbox's id is missing. */
static bool take_id(struct client *client, const cJSON *answer)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "id"));
    if (!id || strlen(id) >= sizeof(client->id))
        return false;
    (void)snprintf(client->id, sizeof(client->id), "%s", id);
    return true;
}

/* True when the step did what it should. */
static bool take_answer(struct load *load, struct client *client,
                        const struct http_response *response)
{
    if (response->status < 200 || response->status > 299)
        return false;
    if (client->step != STEP_CREATE && client->step != STEP_EXECUTE)
        return true;
    _cleanup_cjson_ cJSON *answer = cJSON_ParseWithLength(response->body, response->body_size);
    return client->step == STEP_CREATE ? take_id(client, answer) : take_execution(load, answer);
}

static void finish_step(struct load *load, struct client *client,
                        const struct http_response *response)
{
    int64_t took = monotonic_usec() - client->step_started_usec;
    bool good = take_answer(load, client, response);
    if (good) {
        book(&load->steps[client->step], took);
    } else {
        client->failed = true;
        note_error(load, STEPS[client->step].name, response->status, response->body);
    }

    bool close_after = response->close;
    http_consume(&client->connection);
    if (close_after) {
        load->reconnects++;
        reconnect(load, client);
    }
    /* Without a sandbox there is nothing to execute or delete. */
    if (client->step == load->last || (!good && client->step == STEP_CREATE)) {
        end_cycle(load, client);
        return;
    }
    client->step++;
    send_step(load, client);
}

/* The connection ended before a whole answer. */
static void handle_loss(struct load *load, struct client *client, const char *why)
{
    bool idle_close = http_may_retry(&client->connection);
    reconnect(load, client);
    if (!client->active)
        return;
    if (idle_close) {
        load->reconnects++;
        send_step(load, client);
        return;
    }
    client->failed = true;
    note_error(load, STEPS[client->step].name, 0, why);
    end_cycle(load, client);
}

static void handle_event(struct load *load, struct client *client)
{
    struct error err = {0};
    struct http_response response;
    bool wrote = http_wants_write(&client->connection);
    switch (http_advance(&client->connection, &response, &err)) {
    case HTTP_PENDING:
        if (wrote && !http_wants_write(&client->connection))
            arm(load, client, EPOLL_CTL_MOD);
        break;
    case HTTP_DONE:
        finish_step(load, client, &response);
        break;
    case HTTP_LOST:
        handle_loss(load, client, err.message);
        break;
    }
}

/* Runs `count` cycles, or for `seconds` when count is 0; returns the seconds it took. */
static double run(struct load *load, struct client *clients, uint64_t count, uint64_t seconds)
{
    int64_t begin = monotonic_usec();
    load->started = 0;
    load->target_count = count;
    load->end_usec = begin + (int64_t)seconds * 1000000;
    load->alive = load->parallel;
    for (uint64_t i = 0; i < load->parallel; i++)
        start_cycle(load, &clients[i]);

    while (load->alive > 0) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(load->epoll, events, EVENTS_MAX, ANSWER_TIMEOUT_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            die(ready < 0 ? strerror(errno) : "no answer in two minutes");
        for (int i = 0; i < ready; i++)
            handle_event(load, events[i].data.ptr);
    }
    return (double)(monotonic_usec() - begin) / 1e6;
}

static void forget(struct load *load)
{
    samples_free(&load->cycle);
    for (size_t i = 0; i < STEP_COUNT; i++)
        samples_free(&load->steps[i]);
    for (size_t i = 0; i < load->stage_count; i++)
        samples_free(&load->stages[i].samples);
    load->stage_count = 0;
    load->errors = 0;
    load->reconnects = 0;
    load->first_error[0] = '\0';
}

static void print_result(struct load *load, double seconds)
{
    printf("{");
    samples_print(&load->cycle);
    printf(",\"per_second\":%.1f,\"seconds\":%.3f,\"errors\":%llu,\"reconnects\":%llu,\"steps\":{",
           (double)load->cycle.count / seconds, seconds, (unsigned long long)load->errors,
           (unsigned long long)load->reconnects);
    for (size_t i = load->first; i <= load->last; i++) {
        printf("%s\"%s\":{", i == load->first ? "" : ",", STEPS[i].name);
        samples_print(&load->steps[i]);
        printf("}");
    }
    printf("},\"stages\":{");
    for (size_t i = 0; i < load->stage_count; i++) {
        printf("%s\"%s\":{", i == 0 ? "" : ",", load->stages[i].name);
        samples_print(&load->stages[i].samples);
        printf("}");
    }
    printf("},\"first_error\":\"%s\"}\n", load->first_error);
}

static uint64_t number(const char *text, uint64_t max)
{
    uint64_t value = 0;
    if (!parse_u64(text, max, &value))
        die("an option's number is wrong");
    return value;
}

static void parse_options(struct load *load, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"addr", required_argument, NULL, 'a'},
        {"token", required_argument, NULL, 't'},
        {"cycle", required_argument, NULL, 'b'},
        {"get", required_argument, NULL, 'g'},
        {"count", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"parallel", required_argument, NULL, 'p'},
        {"warmup", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    struct error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'a':
            if (http_target_parse(optarg, &load->target, &err) < 0)
                die_error(&err);
            break;
        case 't':
            load->target.token = optarg;
            break;
        case 'b':
            load->cycle_body = optarg;
            break;
        case 'g':
            load->get_path = optarg;
            break;
        case 'c':
            load->count = number(optarg, 100000000);
            break;
        case 's':
            load->seconds = number(optarg, 86400);
            break;
        case 'p':
            load->parallel = number(optarg, PARALLEL_MAX);
            break;
        case 'w':
            load->warmup = number(optarg, 100000000);
            break;
        default:
            exit(2);
        }
    }
    if (load->target.authority[0] == '\0' || load->parallel == 0 ||
        (load->cycle_body == NULL) == (load->get_path == NULL) ||
        (load->count == 0) == (load->seconds == 0))
        die("needs --addr, one of --cycle and --get, one of --count and --seconds");
    load->first = load->get_path ? STEP_GET : STEP_CREATE;
    load->last = load->get_path ? STEP_GET : STEP_DELETE;
}

int main(int argc, char **argv)
{
    struct load load = {.parallel = 1};
    parse_options(&load, argc, argv);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = calloc(load.parallel, sizeof(*clients));
    if (load.epoll < 0 || !clients)
        die("out of memory or descriptors");
    for (uint64_t i = 0; i < load.parallel; i++) {
        clients[i].connection.fd = -1;
        reconnect(&load, &clients[i]);
    }

    if (load.warmup) {
        (void)run(&load, clients, load.warmup, 0);
        forget(&load);
    }
    double seconds = run(&load, clients, load.count, load.seconds);
    print_result(&load, seconds);

    for (uint64_t i = 0; i < load.parallel; i++)
        http_free(&clients[i].connection);
    free(clients);
    forget(&load);
    close(load.epoll);
    return 0;
}
