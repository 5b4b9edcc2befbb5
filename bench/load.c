/*
 * HTTP load on a running Atoll: a client that costs as little as it can, so that what is measured
 * is the service. One thread, one epoll, one keep-alive connection for each parallel client, exact
 * percentiles.
 *
 *   load --addr HOST:PORT [--token T] [--count N | --seconds S] [--parallel P] [--warmup N]
 *        --cycle BODY       create a sandbox from BODY, execute it, delete it
 *        --container BODY   create a container from BODY, delete it
 *        --exec BODY        run a command in the containers that --sandbox ID names, again for
 * each; the parallel clients take them in turn
 *        --get PATH         GET PATH
 *
 * One JSON line on stdout: p50/p95/p99 of a whole cycle and of each step, the medians of the
 * server's own `stages`, cycles a second, and every failure counted. A cycle with a status other
 * than 2xx, or with a command that did not end with 0, is an error and no sample; the first such
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

enum { PARALLEL_MAX = 1024, SANDBOXES_MAX = 64, ID_MAX = 64, STAGES_MAX = 24, STAGE_NAME_MAX = 32 };
enum { ANSWER_TIMEOUT_MS = 120000, EVENTS_MAX = 64, FIRST_ERROR_MAX = 240 };

struct client;
struct load;

enum step {
    STEP_CREATE,
    STEP_EXECUTE,
    STEP_DELETE,
    STEP_CONTAINER,
    STEP_CONTAINER_DELETE,
    STEP_EXEC,
    STEP_GET,
    STEP_COUNT
};

static bool take_id(struct load *load, struct client *client, const cJSON *answer);
static bool take_execution(struct load *load, struct client *client, const cJSON *answer);
static bool take_exec(struct load *load, struct client *client, const cJSON *answer);

static const struct {
    const char *name;
    const char *method;
    const char *path;   /* NULL: the one of --get */
    const char *suffix; /* behind "<path>/<id>"; NULL: the path does not name a sandbox */
    bool has_body;
    /* False when the answer is not what it should be; NULL: the status says it all. */
    bool (*take)(struct load *load, struct client *client, const cJSON *answer);
} STEPS[STEP_COUNT] = {
    [STEP_CREATE] = {"create", "POST", "/sandbox", NULL, true, take_id},
    [STEP_EXECUTE] = {"execute", "POST", "/sandbox", "/execute", false, take_execution},
    [STEP_DELETE] = {"delete", "DELETE", "/sandbox", "", false, NULL},
    [STEP_CONTAINER] = {"create", "POST", "/v1/sandboxes", NULL, true, take_id},
    [STEP_CONTAINER_DELETE] = {"delete", "DELETE", "/v1/sandboxes", "", false, NULL},
    [STEP_EXEC] = {"exec", "POST", "/v1/sandboxes", "/exec", true, take_exec},
    [STEP_GET] = {"get", "GET", NULL, NULL, false, NULL},
};

/* What one cycle consists of: steps from `first` to `last`. */
static const struct cycle {
    const char *option; /* its argument is the body of the steps that have one, or the path */
    enum step first;
    enum step last;
} CYCLES[] = {
    {"cycle", STEP_CREATE, STEP_DELETE},
    {"container", STEP_CONTAINER, STEP_CONTAINER_DELETE},
    {"exec", STEP_EXEC, STEP_EXEC},
    {"get", STEP_GET, STEP_GET},
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
    const struct cycle *cycle;
    const char *argument; /* of the cycle's option */
    const char *sandboxes[SANDBOXES_MAX];
    size_t sandbox_count;
    uint64_t count;
    uint64_t seconds;
    uint64_t parallel;
    uint64_t warmup;

    int epoll;
    uint64_t started;
    uint64_t target_count; /* 0: until end_usec */
    int64_t end_usec;
    uint64_t alive;

    struct samples cycles;
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
    const char *body = STEPS[client->step].has_body ? load->argument : NULL;
    const char *target = STEPS[client->step].path;
    if (suffix) {
        (void)snprintf(path, sizeof(path), "%s/%s%s", target, client->id, suffix);
        target = path;
    }

    client->step_started_usec = monotonic_usec();
    if (http_request(&client->connection, &load->target, STEPS[client->step].method,
                     target ? target : load->argument, body, &err) < 0)
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
    client->step = load->cycle->first;
    client->cycle_started_usec = monotonic_usec();
    send_step(load, client);
}

static void end_cycle(struct load *load, struct client *client)
{
    if (client->failed)
        load->errors++;
    else
        book(&load->cycles, monotonic_usec() - client->cycle_started_usec);
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

static bool exited_with_0(const cJSON *answer)
{
    const cJSON *code = cJSON_GetObjectItemCaseSensitive(answer, "exit_code");
    return cJSON_IsNumber(code) && code->valuedouble == 0;
}

static bool take_execution(struct load *load, struct client *client, const cJSON *answer)
{
    (void)client;
    const cJSON *stage = NULL;
    cJSON_ArrayForEach(stage, cJSON_GetObjectItemCaseSensitive(answer, "stages"))
    {
        if (cJSON_IsNumber(stage))
            book(stage_samples(load, stage->string), (int64_t)stage->valuedouble);
    }
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "success")) &&
           exited_with_0(answer);
}

static bool take_exec(struct load *load, struct client *client, const cJSON *answer)
{
    (void)load;
    (void)client;
    return exited_with_0(answer);
}

static bool take_id(struct load *load, struct client *client, const cJSON *answer)
{
    (void)load;
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
    if (!STEPS[client->step].take)
        return true;
    _cleanup_cjson_ cJSON *answer = cJSON_ParseWithLength(response->body, response->body_size);
    return STEPS[client->step].take(load, client, answer);
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
    if (client->step == load->cycle->last || (!good && client->step == load->cycle->first)) {
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
    samples_free(&load->cycles);
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
    samples_print(&load->cycles);
    printf(",\"per_second\":%.1f,\"seconds\":%.3f,\"errors\":%llu,\"reconnects\":%llu,\"steps\":{",
           (double)load->cycles.count / seconds, seconds, (unsigned long long)load->errors,
           (unsigned long long)load->reconnects);
    for (size_t i = load->cycle->first; i <= load->cycle->last; i++) {
        printf("%s\"%s\":{", i == load->cycle->first ? "" : ",", STEPS[i].name);
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

static void add_sandbox(struct load *load, const char *id)
{
    if (load->sandbox_count == SANDBOXES_MAX || strlen(id) >= ID_MAX)
        die("too many sandboxes, or an id that is too long");
    load->sandboxes[load->sandbox_count++] = id;
}

static void choose_cycle(struct load *load, const char *option, const char *argument)
{
    for (size_t i = 0; i < ARRAY_SIZE(CYCLES); i++) {
        if (strcmp(CYCLES[i].option, option) == 0 && !load->cycle) {
            load->cycle = &CYCLES[i];
            load->argument = argument;
            return;
        }
    }
    die("one kind of cycle at a time");
}

static void take_option(struct load *load, int option, const char *name)
{
    struct error err = {0};
    switch (option) {
    case 'a':
        if (http_target_parse(optarg, &load->target, &err) < 0)
            die_error(&err);
        break;
    case 't':
        load->target.token = optarg;
        break;
    case 'y':
        choose_cycle(load, name, optarg);
        break;
    case 'i':
        add_sandbox(load, optarg);
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

static void parse_options(struct load *load, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"addr", required_argument, NULL, 'a'},    {"token", required_argument, NULL, 't'},
        {"cycle", required_argument, NULL, 'y'},   {"container", required_argument, NULL, 'y'},
        {"exec", required_argument, NULL, 'y'},    {"get", required_argument, NULL, 'y'},
        {"sandbox", required_argument, NULL, 'i'}, {"count", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'}, {"parallel", required_argument, NULL, 'p'},
        {"warmup", required_argument, NULL, 'w'},  {NULL, 0, NULL, 0},
    };
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, &index)) != -1)
        take_option(load, option, OPTIONS[index].name);
    if (load->target.authority[0] == '\0' || load->parallel == 0 || !load->cycle ||
        (load->count == 0) == (load->seconds == 0))
        die("needs --addr, a kind of cycle, and --count or --seconds");
    if ((load->cycle->first == STEP_EXEC) != (load->sandbox_count > 0))
        die("--exec and --sandbox go together");
}

/* A client of --exec stays with one of its sandboxes. */
static void open_client(struct load *load, struct client *client, uint64_t number)
{
    client->connection.fd = -1;
    reconnect(load, client);
    if (load->sandbox_count)
        (void)snprintf(client->id, sizeof(client->id), "%s",
                       load->sandboxes[number % load->sandbox_count]);
}

int main(int argc, char **argv)
{
    struct load load = {.parallel = 1};
    parse_options(&load, argc, argv);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct client *clients = calloc(load.parallel, sizeof(*clients));
    if (load.epoll < 0 || !clients)
        die("out of memory or descriptors");
    for (uint64_t i = 0; i < load.parallel; i++)
        open_client(&load, &clients[i], i);

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
