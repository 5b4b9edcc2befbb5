/*
 * atoll-launcher: the only privileged program. It makes and unmakes sandboxes for one
 * unprivileged client, from requests that are fixed structs. docs/launcher.md is its theory of
 * operation.
 */
#include "launcher/adopt.h"
#include "launcher/loop.h"
#include "launcher/startup.h"

#include "lib/base/util.h"

#include <atoll/agent_proto.h>
#include <atoll/log.h>
#include <atoll/version.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UID_BASE_MIN = 65536, UID_BASE_MAX = 2147418112 };

struct option_row {
    const char *name;
    const char *argument; /* NULL: it has none */
    const char *meaning;
};

enum option_index {
    OPTION_RUN_DIR,
    OPTION_STATE_DIR,
    OPTION_AGENT,
    OPTION_UID_BASE,
    OPTION_REQUIRED, /* so many come first, and may not be absent */
    OPTION_CLIENT_UID = OPTION_REQUIRED,
    OPTION_CLIENT_GID,
    OPTION_ARCHIVE,
    OPTION_LAYERS,
    OPTION_LOG_FORMAT,
    OPTION_LOG_LEVEL,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT
};

static const struct option_row option_rows[OPTION_COUNT] = {
    [OPTION_RUN_DIR] = {"run-dir", "DIR",
                        "folder of the sockets and of one folder for each sandbox; absolute"},
    [OPTION_STATE_DIR] = {"state-dir", "DIR", "folder of images, disks and logs; absolute"},
    [OPTION_AGENT] = {"agent", "PATH", "the static agent program"},
    [OPTION_UID_BASE] = {"uid-base", "UID",
                         "first host uid for sandboxes, 65,536 each; a multiple of that"},
    [OPTION_CLIENT_UID] = {"client-uid", "UID", "the user that may call; root always may"},
    [OPTION_CLIENT_GID] = {"client-gid", "GID", "the group that may reach the sockets; default 0"},
    [OPTION_ARCHIVE] = {"archive", "PATH",
                        "the static archive program; without it sandboxes have none"},
    [OPTION_LAYERS] = {"layers", "auto|path",
                       "how overlay layers are named; `path` forces the way of old kernels"},
    [OPTION_LOG_FORMAT] = {"log-format", "text|json", "shape of a log line; default text"},
    [OPTION_LOG_LEVEL] = {"log-level", "LEVEL", "debug, info, warn or error; default info"},
    [OPTION_HELP] = {"help", NULL, "print this"},
    [OPTION_VERSION] = {"version", NULL, "print the version"},
};

static void print_help(void)
{
    (void)puts("Usage: atoll-launcher OPTIONS\n\nMakes and unmakes sandboxes, as root.\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];

        if (i == 0 || i == OPTION_REQUIRED)
            (void)printf("%s:\n", i == 0 ? "Needed" : "Optional");
        (void)printf("  --%-11s %-10s %s\n", row->name, row->argument ? row->argument : "",
                     row->meaning);
    }
}

/* The index of `word` in the NULL-terminated list, or -1. */
static int word_index(const char *word, const char *const words[])
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static bool set_option(struct launcher_options *options, int index, const char *value)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const layers[] = {"auto", "path", NULL};
    uint64_t number;
    int word;

    switch ((enum option_index)index) {
    case OPTION_RUN_DIR:
        options->run_dir = value;
        return value[0] == '/';
    case OPTION_STATE_DIR:
        options->state_dir = value;
        return value[0] == '/';
    case OPTION_AGENT:
        options->agent = value;
        return true;
    case OPTION_ARCHIVE:
        options->archive = value;
        return true;
    case OPTION_CLIENT_UID:
    case OPTION_CLIENT_GID:
        if (!parse_u64(value, UINT32_MAX - 1, &number))
            return false;
        *(index == OPTION_CLIENT_UID ? &options->client_uid : &options->client_gid) =
            (uint32_t)number;
        return true;
    case OPTION_UID_BASE:
        if (!parse_u64(value, UID_BASE_MAX, &number) || number < UID_BASE_MIN ||
            number % SANDBOX_UIDS != 0)
            return false;
        options->uid_base = (uint32_t)number;
        return true;
    case OPTION_LAYERS:
        word = word_index(value, layers);
        options->force_stage = word == 1;
        return word >= 0;
    case OPTION_LOG_FORMAT:
        word = word_index(value, formats);
        options->json = word == 1;
        return word >= 0;
    case OPTION_LOG_LEVEL:
        options->level = word_index(value, levels);
        return options->level >= 0;
    case OPTION_HELP:
    case OPTION_VERSION:
    case OPTION_COUNT:
        break;
    }
    return false;
}

/* What the command line comes to. */
enum parsed { PARSED, PARSED_ANSWERED, PARSED_WRONG };

static enum parsed answer(int index)
{
    if (index == OPTION_HELP)
        print_help();
    else
        (void)puts("atoll-launcher " ATOLL_VERSION);
    return PARSED_ANSWERED;
}

/* All of the command line was read: it may have a word too many, or an option too few. */
static enum parsed check_complete(char *const *rest, const bool given[static OPTION_COUNT])
{
    if (*rest) {
        (void)fprintf(stderr, "atoll-launcher: unknown argument %s\n", *rest);
        return PARSED_WRONG;
    }
    for (size_t i = 0; i < OPTION_REQUIRED; i++) {
        if (!given[i]) {
            (void)fprintf(stderr, "atoll-launcher: --%s is needed\n", option_rows[i].name);
            return PARSED_WRONG;
        }
    }
    return PARSED;
}

/* Says on standard error what is wrong. */
static enum parsed parse_options(int argc, char **argv, struct launcher_options *options)
{
    struct option table[OPTION_COUNT + 1] = {{NULL, 0, NULL, 0}};
    bool given[OPTION_COUNT] = {false};
    int index;
    int got;

    for (int i = 0; i < OPTION_COUNT; i++)
        table[i] = (struct option){option_rows[i].name, option_rows[i].argument != NULL, NULL, 0};
    while ((got = getopt_long(argc, argv, "", table, &index)) == 0) {
        if (index == OPTION_HELP || index == OPTION_VERSION)
            return answer(index);
        if (!set_option(options, index, optarg)) {
            (void)fprintf(stderr, "atoll-launcher: --%s cannot be \"%s\"\n", table[index].name,
                          optarg);
            return PARSED_WRONG;
        }
        given[index] = true;
    }
    return got == -1 ? check_complete(argv + optind, given) : PARSED_WRONG;
}

/* The numbers that a child will give the agent's descriptors stay unused in the launcher. */
static int reserve_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < AGENT_FD_LAST);
    if (fd > AGENT_FD_LAST)
        (void)close(fd);
    return fd < 0 ? -1 : 0;
}

/* The end is the loop's to make: a ready sandbox goes with the launcher. */
static int open_signals(struct launcher *launcher, struct error *err)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_set_errno(err, errno, "cannot receive signals");
    launcher->signals = (struct source){SOURCE_SIGNALS, fd, NULL};
    return 0;
}

static int run(struct launcher *launcher, struct error *err)
{
    if (geteuid() != 0)
        return error_set(err, ERR_INTERNAL, "the launcher must be root");
    if (reserve_descriptors() < 0)
        return error_set_errno(err, errno, "cannot open /dev/null");
    if (startup(launcher, err) < 0 || startup_lock_down(err) < 0 || adopt_all(launcher, err) < 0 ||
        open_signals(launcher, err) < 0)
        return -1;
    log_info("ready on %s/" LAUNCHER_SOCKET_NAME " (cgroup v%d, overlay layers by %s)",
             launcher->options.run_dir, launcher->cgroup.v2 ? 2 : 1,
             launcher->layers_by_fd ? "descriptor" : "path");
    return loop_run(launcher, err);
}

int main(int argc, char **argv)
{
    static struct launcher launcher = {
        .options = {.level = LOG_INFO, .client_uid = 0, .client_gid = 0},
        .epoll = -1,
    };
    struct error err;
    enum parsed parsed = parse_options(argc, argv, &launcher.options);

    if (parsed == PARSED_ANSWERED)
        return 0;
    if (parsed == PARSED_WRONG) {
        (void)fputs("`atoll-launcher --help` tells the options.\n", stderr);
        return 2;
    }
    log_init("atoll-launcher", (enum log_level)launcher.options.level, launcher.options.json);
    (void)umask(022);
    /* A log that nobody reads must not end the launcher. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (run(&launcher, &err) < 0) {
        log_error("%s", err.message);
        return 1;
    }
    return 0;
}
