#include "cli/cluster.h"

#include "cli/cluster_init.h"
#include "cli/folder.h"
#include "cli/notify.h"
#include "lib/base/util.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define POSTGRES_ROOT "/usr/lib/postgresql"

enum { POSTGRES_OLDEST = 15, POSTGRES_START_SECONDS = 300 };

int cluster_find_programs(unsigned exact_version, char folder[static 64], struct error *err)
{
    _cleanup_closedir_ DIR *dir = opendir(POSTGRES_ROOT);
    uint64_t best = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char postgres[sizeof(POSTGRES_ROOT) + NAME_MAX + 32];
        uint64_t version;

        if (!parse_u64(entry->d_name, 9999, &version) || version < POSTGRES_OLDEST ||
            version < best || (exact_version && version != exact_version))
            continue;
        (void)snprintf(postgres, sizeof(postgres), POSTGRES_ROOT "/%s/bin/postgres", entry->d_name);
        if (access(postgres, X_OK) == 0)
            best = version;
    }
    if (best == 0 && exact_version)
        return error_set(err, ERR_INTERNAL,
                         "the cluster was made by PostgreSQL %u, which is not installed: "
                         "apt-get install postgresql-%u",
                         exact_version, exact_version);
    if (best == 0)
        return error_set(err, ERR_INTERNAL,
                         "PostgreSQL %d or later is not installed: apt-get install postgresql",
                         POSTGRES_OLDEST);
    (void)snprintf(folder, 64, POSTGRES_ROOT "/%u/bin", (unsigned)best);
    return 0;
}

/* The version that made the data folder; 0 when there is no cluster yet. */
static int read_version(const char *data, unsigned *ret_version, struct error *err)
{
    char path[CLUSTER_TEXT_SIZE + 16];
    _cleanup_free_ char *text = NULL;
    uint64_t version;
    size_t size;

    *ret_version = 0;
    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", data);
    if (access(path, F_OK) < 0)
        return 0;
    if (read_file(AT_FDCWD, path, 16, &text, &size, err) < 0)
        return -1;
    text[strcspn(text, "\n")] = '\0';
    if (!parse_u64(text, 9999, &version))
        return error_set(err, ERR_INTERNAL, "%s holds no version", path);
    *ret_version = (unsigned)version;
    return 0;
}

static int write_text(const char *folder, const char *name, gid_t group, const char *text,
                      struct error *err)
{
    char path[CLUSTER_TEXT_SIZE + 32];
    _cleanup_close_ int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || fchown(fd, 0, group) < 0)
        return error_set_errno(err, errno, "%s", path);
    return write_all(fd, text, strlen(text), err);
}

/* root may be anyone, the service's user only what the programs need (pg_ident.conf: map, system
 * user, database user). Written at every start, so that a changed state.user takes effect. */
static int write_access_rules(const struct cluster *cluster, const char *user, struct error *err)
{
    static const char hba[] = "local all all peer map=atoll\n";
    char ident[512];

    (void)snprintf(ident, sizeof(ident),
                   "atoll root postgres\natoll root atoll_owner\natoll root atoll_app\n"
                   "atoll root atoll_system\natoll \"%s\" atoll_owner\natoll \"%s\" atoll_app\n"
                   "atoll \"%s\" atoll_system\n",
                   user, user, user);
    if (write_text(cluster->folder, "pg_hba.conf", cluster->identity.gid, hba, err) < 0)
        return -1;
    return write_text(cluster->folder, "pg_ident.conf", cluster->identity.gid, ident, err);
}

/* Modest memory, and every commit durable: what is acknowledged must survive. */
static void fill_settings(struct cluster *cluster, const char *socket_dir)
{
    static const char *const fixed[] = {
        "listen_addresses=",
        "unix_socket_permissions=0700",
        "shared_buffers=64MB",
        "max_connections=100",
        "fsync=on",
        "logging_collector=on",
        "log_filename=postgres-%a.log",
        "log_truncate_on_rotation=on",
        "log_rotation_age=1d",
        "log_rotation_size=0",
    };
    size_t argc = 0;
    size_t used = 0;

    (void)snprintf(cluster->settings[used++], CLUSTER_TEXT_SIZE, "%s/postgres", cluster->programs);
    (void)snprintf(cluster->settings[used++], CLUSTER_TEXT_SIZE, "unix_socket_directories=%s",
                   socket_dir);
    (void)snprintf(cluster->settings[used++], CLUSTER_TEXT_SIZE, "hba_file=%s/pg_hba.conf",
                   cluster->folder);
    (void)snprintf(cluster->settings[used++], CLUSTER_TEXT_SIZE, "ident_file=%s/pg_ident.conf",
                   cluster->folder);
    (void)snprintf(cluster->settings[used++], CLUSTER_TEXT_SIZE, "log_directory=%s/log",
                   cluster->folder);
    cluster->argv[argc++] = cluster->settings[0];
    cluster->argv[argc++] = "-D";
    cluster->argv[argc++] = cluster->data;
    for (size_t i = 1; i < used; i++) {
        cluster->argv[argc++] = "-c";
        cluster->argv[argc++] = cluster->settings[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
        cluster->argv[argc++] = "-c";
        cluster->argv[argc++] = fixed[i];
    }
    cluster->argv[argc] = NULL;
}

static int fill_service(struct cluster *cluster, struct error *err)
{
    char address[NOTIFY_ADDRESS_SIZE];

    if (notify_open(&cluster->notify_fd, address, err) < 0)
        return -1;
    (void)snprintf(cluster->notify_variable, sizeof(cluster->notify_variable), "NOTIFY_SOCKET=%s",
                   address);
    cluster->environment[0] = "PATH=/usr/bin:/bin";
    cluster->environment[1] = "LC_ALL=C.UTF-8";
    cluster->environment[2] = cluster->notify_variable;
    cluster->service = (struct service){
        .name = "postgres",
        .path = cluster->settings[0],
        .argv = cluster->argv,
        .environment = cluster->environment,
        .identity = &cluster->identity,
        .input = -1,
        .output = cluster->log_fd,
        .stop_signal = SIGINT,  /* fast shutdown: PostgreSQL 15, 19.5 */
        .kill_signal = SIGQUIT, /* immediate shutdown; recovers at the next start */
        .log = cluster->folder,
    };
    return 0;
}

static int prepare_folders(struct cluster *cluster, struct error *err)
{
    struct identity group_only = {.uid = 0, .gid = cluster->identity.gid};
    char log[CLUSTER_TEXT_SIZE + 16];

    (void)snprintf(log, sizeof(log), "%s/log", cluster->folder);
    if (folder_ensure(cluster->folder, &group_only, 0750, err) < 0 ||
        folder_ensure(log, &cluster->identity, 0700, err) < 0)
        return -1;
    (void)snprintf(log, sizeof(log), "%s/start.log", cluster->folder);
    cluster->log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (cluster->log_fd < 0)
        return error_set_errno(err, errno, "%s", log);
    return 0;
}

int cluster_prepare(struct cluster *cluster, struct supervisor *supervisor,
                    const struct cluster_place *place, struct error *err)
{
    unsigned version;

    cluster->identity = *place->identity;
    (void)snprintf(cluster->folder, sizeof(cluster->folder), "%s/postgres", place->state_dir);
    (void)snprintf(cluster->data, sizeof(cluster->data), "%s/data", cluster->folder);
    if (read_version(cluster->data, &version, err) < 0 ||
        cluster_find_programs(version, cluster->programs, err) < 0 ||
        prepare_folders(cluster, err) < 0 || write_access_rules(cluster, place->user, err) < 0)
        return -1;
    if (version == 0 && cluster_create(cluster, supervisor, err) < 0)
        return -1;
    if (cluster_clear_leftovers(cluster, err) < 0)
        return -1;
    fill_settings(cluster, place->socket_dir);
    return fill_service(cluster, err);
}

int cluster_wait(struct cluster *cluster, struct supervisor *supervisor, bool *ret_stop,
                 struct error *err)
{
    int64_t deadline = monotonic_usec() + POSTGRES_START_SECONDS * INT64_C(1000000);
    enum supervisor_event event;

    do {
        if (supervisor_wait(supervisor, cluster->notify_fd, deadline, true, &event, err) < 0)
            return -1;
        if (event == SUPERVISOR_TIMEOUT)
            return error_set(err, ERR_INTERNAL, "PostgreSQL is not ready after %d s: see %s/log",
                             POSTGRES_START_SECONDS, cluster->folder);
    } while (event == SUPERVISOR_FD && !notify_ready(cluster->notify_fd, cluster->identity.uid));
    *ret_stop = event == SUPERVISOR_STOP;
    return 0;
}
