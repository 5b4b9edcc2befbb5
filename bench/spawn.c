/*
 * Starts a command again and again and says how long each took from spawn to exit: the clock for
 * peers that are programs (bubblewrap, crun, docker). posix_spawn shares this small process's
 * memory until the exec (CLONE_VFORK), so the harness itself costs some 0.3 ms.
 *
 *   spawn --count N | --seconds S  [--parallel P] [--warmup N] -- COMMAND ARGUMENT...
 *
 * "{}" in an argument becomes a number that no other run has. The command's input and output are
 * /dev/null, its stderr is ours. Prints one JSON line; a run that exits other than 0 is an error
 * and no sample.
 */
#include "bench/samples.h"
#include "lib/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PARALLEL_MAX = 256, ARGUMENTS_MAX = 128, ARGUMENT_MAX = 4096 };

extern char **environ;

struct child {
    pid_t pid; /* 0: the slot is free */
    int64_t started_usec;
};

struct spawner {
    char *const *command;
    uint64_t count;
    uint64_t seconds;
    uint64_t parallel;
    uint64_t warmup;
    uint64_t serial;
    posix_spawn_file_actions_t actions;
    struct child children[PARALLEL_MAX];
    struct samples samples;
    uint64_t errors;
};

static void die(const char *what)
{
    fprintf(stderr, "spawn: %s\n", what);
    exit(1);
}

/* `template` with its first "{}" replaced by the serial number; the caller's to free. */
static char *fill_in(const char *template, uint64_t serial)
{
    char *text = NULL;
    const char *mark = strstr(template, "{}");
    int length = mark ? asprintf(&text, "%.*s%d-%llu%s", (int)(mark - template), template, getpid(),
                                 (unsigned long long)serial, mark + 2)
                      : asprintf(&text, "%s", template);
    if (length < 0 || length > ARGUMENT_MAX)
        die("an argument does not fit");
    return text;
}

static void start_child(struct spawner *spawner, struct child *child)
{
    char *arguments[ARGUMENTS_MAX + 1] = {NULL};
    size_t count = 0;
    spawner->serial++;
    do {
        if (count == ARGUMENTS_MAX)
            die("too many arguments");
        arguments[count] = fill_in(spawner->command[count], spawner->serial);
    } while (spawner->command[++count]);

    child->started_usec = monotonic_usec();
    int failed =
        posix_spawnp(&child->pid, arguments[0], &spawner->actions, NULL, arguments, environ);
    if (failed)
        die(strerror(failed));
    while (count > 0)
        free(arguments[--count]);
}

/* Waits for any child and books it. Returns its slot, free again. */
static struct child *reap_child(struct spawner *spawner, bool booked)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid(-1, &status, 0);
    while (pid < 0 && errno == EINTR);
    if (pid < 0)
        die("lost a child");

    for (uint64_t i = 0; i < spawner->parallel; i++) {
        struct child *child = &spawner->children[i];
        if (child->pid != pid)
            continue;
        child->pid = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            spawner->errors++;
        else if (booked && !samples_add(&spawner->samples, monotonic_usec() - child->started_usec))
            die("out of memory");
        return child;
    }
    die("reaped a child that was not started");
    return NULL;
}

/* Runs until `count` were started, or until `seconds` have passed when count is 0. */
static void run(struct spawner *spawner, uint64_t count, uint64_t seconds, bool booked)
{
    int64_t end = monotonic_usec() + (int64_t)seconds * 1000000;
    uint64_t started = 0;
    uint64_t alive = 0;
    while (alive < spawner->parallel && (count == 0 || started < count)) {
        start_child(spawner, &spawner->children[alive++]);
        started++;
    }
    while (alive > 0) {
        struct child *child = reap_child(spawner, booked);
        bool more = count ? started < count : monotonic_usec() < end;
        if (more) {
            start_child(spawner, child);
            started++;
        } else {
            alive--;
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

static void parse_options(struct spawner *spawner, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"count", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 's'},
        {"parallel", required_argument, NULL, 'p'},
        {"warmup", required_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'c':
            spawner->count = number(optarg, 10000000);
            break;
        case 's':
            spawner->seconds = number(optarg, 86400);
            break;
        case 'p':
            spawner->parallel = number(optarg, PARALLEL_MAX);
            break;
        case 'w':
            spawner->warmup = number(optarg, 10000000);
            break;
        default:
            exit(2);
        }
    }
    spawner->command = argv + optind;
    if (!spawner->command[0] || spawner->parallel == 0 ||
        (spawner->count == 0) == (spawner->seconds == 0))
        die("usage: spawn --count N | --seconds S [--parallel P] [--warmup N] -- COMMAND...");
}

int main(int argc, char **argv)
{
    struct spawner spawner = {.parallel = 1};
    parse_options(&spawner, argc, argv);
    if (posix_spawn_file_actions_init(&spawner.actions) ||
        posix_spawn_file_actions_addopen(&spawner.actions, 0, "/dev/null", O_RDONLY, 0) ||
        posix_spawn_file_actions_addopen(&spawner.actions, 1, "/dev/null", O_WRONLY, 0))
        die("out of memory");

    if (spawner.warmup)
        run(&spawner, spawner.warmup, 0, false);
    int64_t started = monotonic_usec();
    run(&spawner, spawner.count, spawner.seconds, true);
    double seconds = (double)(monotonic_usec() - started) / 1e6;

    printf("{");
    samples_print(&spawner.samples);
    printf(",\"per_second\":%.1f,\"errors\":%llu}\n", (double)spawner.samples.count / seconds,
           (unsigned long long)spawner.errors);
    samples_free(&spawner.samples);
    posix_spawn_file_actions_destroy(&spawner.actions);
    return 0;
}
