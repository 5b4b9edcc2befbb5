/*
 * atoll dev: the whole service under one supervisor.
 *
 * Order: folders and lock → PostgreSQL and launcher side by side → migrations → the image `base`
 * when it is missing → server, monitor, worker → the server answers. The image `bun` is built
 * beside the running service. The end goes backwards.
 *
 * The supervisor stays root, because the launcher is; everything else becomes state.user.
 */
#include "cli/cli.h"

#include "cli/cluster.h"
#include "cli/defaults.h"
#include "cli/dev_state.h"
#include "cli/dev_wait.h"
#include "cli/elevate.h"
#include "cli/image_store.h"
#include "cli/migrate.h"
#include "cli/paths.h"
#include "cli/sandboxes.h"
#include "cli/spawn.h"
#include "cli/supervisor.h"
#include "cli/token.h"
#include "lib/base/util.h"
#include "lib/host/host.h"
#include "lib/runtime/daemon.h"
#include <atoll/log.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { TOKEN_TTL_SECONDS = 24 * 3600, EXTRA_VARIABLES = 2, LAUNCHER_ARGUMENTS = 24 };

/* What must live as long as the supervisor. */
struct dev {
    const struct config *config;
    bool private_database;
    struct identity identity;
    struct paths paths;
    struct cluster cluster;
    struct supervisor *supervisor;
    char *environment[CONFIG_KEY_COUNT + EXTRA_VARIABLES + 1];
    char **variables; /* owns the text of `environment` */
    char programs[6][PATH_MAX + 32];
    char archive[PATH_MAX + 32];
    char numbers[3][CONFIG_TEXT_SIZE];
    const char *launcher_argv[LAUNCHER_ARGUMENTS];
    const char *argv[3][2];
    const char *bun_argv[5];
    bool stop; /* a signal came while starting */
};

static void dev_done(struct dev *dev)
{
    free(dev->variables);
}

/* Children find every value in their environment; they need no file of ours. */
static int fill_environment(struct dev *dev, struct error *err)
{
    dev->variables = config_environment(dev->config);
    if (!dev->variables)
        return error_no_memory(err);
    memcpy(dev->environment, dev->variables, CONFIG_KEY_COUNT * sizeof(char *));
    dev->environment[CONFIG_KEY_COUNT] =
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    dev->environment[CONFIG_KEY_COUNT + 1] = "LC_ALL=C.UTF-8";
    return 0;
}

static struct service program(struct dev *dev, size_t index, const char *name)
{
    (void)snprintf(dev->programs[index], sizeof(dev->programs[index]), "%s/atoll-%s",
                   dev->paths.programs, name);
    return (struct service){
        .name = name,
        .path = dev->programs[index],
        .environment = dev->environment,
        .input = -1,
        .output = -1,
        .stop_signal = SIGTERM,
        .kill_signal = SIGKILL,
    };
}

static int start_launcher(struct dev *dev, struct error *err)
{
    struct service service = program(dev, 0, "launcher");
    const struct config *config = dev->config;
    const char *argv[] = {
        dev->programs[0],       "--run-dir",    config->state_run_dir, "--state-dir",
        config->state_dir,      "--client-uid", dev->numbers[0],       "--client-gid",
        dev->numbers[1],        "--agent",      dev->programs[1],      "--uid-base",
        dev->numbers[2],        "--log-level",  config->logging_level, "--log-format",
        config->logging_format, "--archive",    dev->archive,          NULL,
    };

    (void)snprintf(dev->programs[1], sizeof(dev->programs[1]), "%s/atoll-agent",
                   dev->paths.programs);
    (void)snprintf(dev->archive, sizeof(dev->archive), "%s/atoll-archive", dev->paths.programs);
    (void)snprintf(dev->numbers[0], CONFIG_TEXT_SIZE, "%u", dev->identity.uid);
    (void)snprintf(dev->numbers[1], CONFIG_TEXT_SIZE, "%u", dev->identity.gid);
    (void)snprintf(dev->numbers[2], CONFIG_TEXT_SIZE, "%" PRId64, config->state_uid_base);
    _Static_assert(sizeof(argv) <= sizeof(dev->launcher_argv), "the copy below fits");
    memcpy(dev->launcher_argv, argv, sizeof(argv));
    service.argv = dev->launcher_argv;
    return supervisor_start(dev->supervisor, &service, err);
}

static int start_daemon(struct dev *dev, size_t index, const char *name, struct error *err)
{
    struct service service = program(dev, index + 2, name);

    dev->argv[index][0] = dev->programs[index + 2];
    service.argv = dev->argv[index];
    service.identity = &dev->identity;
    return supervisor_start(dev->supervisor, &service, err);
}

static int start_cluster(struct dev *dev, struct error *err)
{
    char socket_dir[PATH_MAX];
    struct cluster_place place = {
        .state_dir = dev->config->state_dir,
        .socket_dir = socket_dir,
        .user = dev->config->state_user,
        .identity = &dev->identity,
    };

    (void)snprintf(socket_dir, sizeof(socket_dir), "%s/%s", dev->config->state_run_dir,
                   DEFAULTS_POSTGRES_NAME);
    if (cluster_prepare(&dev->cluster, dev->supervisor, &place, err) < 0)
        return -1;
    return supervisor_start(dev->supervisor, &dev->cluster.service, err);
}

static int start_database(struct dev *dev, struct error *err)
{
    if (dev->private_database && cluster_wait(&dev->cluster, dev->supervisor, &dev->stop, err) < 0)
        return -1;
    if (dev->stop || dev->config->database_owner_url[0] == '\0')
        return 0;
    return migrate_run(dev->config, err);
}

static struct service image_job(struct dev *dev, const char *name)
{
    dev->bun_argv[0] = dev->paths.self;
    dev->bun_argv[1] = "image";
    dev->bun_argv[2] = "build";
    dev->bun_argv[3] = name;
    dev->bun_argv[4] = NULL;
    return (struct service){
        .name = name,
        .path = dev->paths.self,
        .argv = dev->bun_argv,
        .environment = dev->environment,
        .input = -1,
        .output = -1,
        .stop_signal = SIGTERM,
        .kill_signal = SIGKILL,
        .once = true,
    };
}

static bool image_missing(const struct dev *dev, const char *name)
{
    struct image_store store;
    struct error ignored;

    return image_store_open(dev->config->state_dir, &store, &ignored) == 0 &&
           !image_store_has(&store, name);
}

static int ensure_base(struct dev *dev, struct error *err)
{
    struct service job;

    if (!image_missing(dev, "base"))
        return 0;
    log_info("building the image base from Debian's packages (once; this takes a while)");
    job = image_job(dev, "base");
    return supervisor_run_job(dev->supervisor, &job, err);
}

/* The service is complete without it: every outcome is a line in the log. */
static void start_bun_build(struct dev *dev)
{
    struct service job;
    struct error err;
    char npm[64];

    if (!image_missing(dev, "bun"))
        return;
    if (spawn_find_tool("npm", npm, &err) < 0) {
        log_info("npm is not installed: the runtime bun is not available until `apt-get install "
                 "npm` and `atoll image build bun`");
        return;
    }
    log_info("building the image bun; the runtime bun is available when that is done");
    job = image_job(dev, "bun");
    if (supervisor_start(dev->supervisor, &job, &err) < 0)
        log_warn("the image bun is not built: %s", err.message);
}

static int start_daemons(struct dev *dev, char url[static DEV_URL_SIZE], struct error *err)
{
    static const char *const names[] = {"server", "monitor", "worker"};

    if (dev_wait_forget_server(dev->config, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (start_daemon(dev, i, names[i], err) < 0)
            return -1;
    }
    return dev_wait_server(dev->supervisor, dev->config, &dev->stop, url, err);
}

static int start_all(struct dev *dev, char url[static DEV_URL_SIZE], struct error *err)
{
    if (dev->private_database && start_cluster(dev, err) < 0)
        return -1;
    if (start_launcher(dev, err) < 0 || start_database(dev, err) < 0)
        return -1;
    if (!dev->stop && ensure_base(dev, err) < 0)
        return -1;
    if (!dev->stop && dev_wait_launcher(dev->supervisor, dev->config, &dev->stop, err) < 0)
        return -1;
    if (!dev->stop && start_daemons(dev, url, err) < 0)
        return -1;
    return 0;
}

/* The line of the second command: it makes a sandbox, takes its id out of the answer, runs it. */
static int print_ready(const struct dev *dev, const char *url, int64_t started_usec,
                       struct error *err)
{
    static const char body[] = "{\"runtime\":\"python\",\"code\":\"print(6*7)\"}";
    bool open = strcmp(dev->config->auth_mode, "off") == 0;
    bool signs = !open && dev->config->auth_hs256_key_file[0] != '\0';
    _cleanup_free_ char *token = NULL;

    if (signs && token_make(dev->config, TOKEN_TTL_SECONDS, &token, err) < 0)
        return -1;
    (void)printf("\nAtoll is ready on %s after %.1f s. Ctrl-C stops it.\n\n", url,
                 (double)(monotonic_usec() - started_usec) / 1e6);
    if (open)
        (void)printf("auth.mode is \"off\": every process on this host may use it.\n\n");
    else if (signs)
        (void)printf("Token, valid for 24 hours:\n\n%s\n\n", token);
    else
        (void)printf("Tokens are your issuer's: no auth.hs256_key_file is set.\n\n");
    (void)printf("Try it (one line):\n\n"
                 "U=%s T=%s; I=$(curl -s \"$U/sandbox\" -H \"Authorization: Bearer $T\" "
                 "-H \"Content-Type: application/json\" -d '%s' | "
                 "sed -E 's/.*\"id\" *: *\"([0-9a-f]{32})\".*/\\1/'); "
                 "curl -s -X POST \"$U/sandbox/$I/execute\" -H \"Authorization: Bearer $T\"; "
                 "echo\n\n",
                 url,
                 signs  ? token
                 : open ? "none"
                        : "YOUR-TOKEN",
                 body);
    (void)fflush(stdout);
    return 0;
}

static void stop_all(struct dev *dev)
{
    size_t keep = dev->private_database ? 2 : 1;

    log_info("stopping");
    supervisor_stop(dev->supervisor, keep);
    sandboxes_destroy_all(dev->config);
    supervisor_stop(dev->supervisor, 0);
}

static int run(struct dev *dev, struct error *err)
{
    int64_t started_usec = monotonic_usec();
    enum supervisor_event event;
    char url[DEV_URL_SIZE] = "";

    if (start_all(dev, url, err) < 0)
        return -1;
    if (dev->stop)
        return 0;
    if (print_ready(dev, url, started_usec, err) < 0)
        return -1;
    start_bun_build(dev);
    return supervisor_wait(dev->supervisor, -1, 0, false, &event, err);
}

int cli_dev(struct cli *cli, struct error *err)
{
    _cleanup_supervisor_ struct supervisor *supervisor = NULL;
    _cleanup_(dev_done) struct dev dev = {.config = &cli->config};
    _cleanup_close_ int lock_fd = -1;
    uint64_t features;
    int result;

    /* The launcher would refuse in the same words, but later. */
    if (elevate(cli, err) < 0 || host_check(&features, err) < 0)
        return -1;
    daemon_log_init("atoll-dev", &cli->config);
    dev.private_database = defaults_private_database(&cli->origins);
    if (paths_find(&dev.paths, err) < 0 ||
        identity_ensure(cli->config.state_user, &dev.identity, err) < 0 ||
        dev_state_prepare(&cli->config, &dev.identity, &lock_fd, err) < 0)
        return -1;
    if (cli->config.auth_hs256_key_file[0] != '\0' &&
        dev_state_ensure_key(cli->config.auth_hs256_key_file, &dev.identity, err) < 0)
        return -1;
    if (fill_environment(&dev, err) < 0 || supervisor_new(&supervisor, err) < 0)
        return -1;
    dev.supervisor = supervisor;
    result = run(&dev, err);
    stop_all(&dev);
    return result < 0 ? -1 : CLI_OK;
}
