#include "cli/cluster_init.h"

#include "cli/folder.h"
#include "lib/base/util.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>

enum { LEFTOVER_STOP_SECONDS = 60 };

/* Run once, in single-user mode, where each line is one command. The roles are those that the
 * migrations expect; none has a password, because the socket lets in by uid alone. */
static const char bootstrap_sql[] = "CREATE ROLE atoll_owner LOGIN;\n"
                                    "CREATE ROLE atoll_app LOGIN;\n"
                                    "CREATE ROLE atoll_system LOGIN;\n"
                                    "CREATE DATABASE atoll OWNER atoll_owner;\n";

/* A descriptor that reads `text` from its start. */
static int text_input(const char *text, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = memfd_create("atoll-sql", MFD_CLOEXEC);

    if (fd < 0)
        return error_set_errno(err, errno, "memfd_create");
    if (write_all(fd, text, strlen(text), err) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_set_errno(err, errno, "memfd");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int run_initdb(const struct cluster *cluster, struct supervisor *supervisor,
                      const char *data, struct error *err)
{
    char path[CLUSTER_TEXT_SIZE];
    const char *argv[] = {path,
                          "-D",
                          data,
                          "-U",
                          "postgres",
                          "-E",
                          "UTF8",
                          "--locale=C.UTF-8",
                          "--auth=peer",
                          "--data-checksums",
                          "--no-instructions",
                          NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct service job = {
        .name = "initdb",
        .path = path,
        .argv = argv,
        .environment = environment,
        .identity = &cluster->identity,
        .input = -1,
        .output = cluster->log_fd,
        .stop_signal = SIGTERM,
        .kill_signal = SIGKILL,
        .once = true,
    };

    (void)snprintf(path, sizeof(path), "%s/initdb", cluster->programs);
    return supervisor_run_job(supervisor, &job, err);
}

static int run_bootstrap(const struct cluster *cluster, struct supervisor *supervisor,
                         const char *data, struct error *err)
{
    _cleanup_close_ int input = -1;
    char path[CLUSTER_TEXT_SIZE];
    const char *argv[] = {path, "--single", "-D", data, "-c", "exit_on_error=on", "postgres", NULL};
    char *environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct service job = {
        .name = "postgres --single",
        .path = path,
        .argv = argv,
        .environment = environment,
        .identity = &cluster->identity,
        .output = cluster->log_fd,
        .stop_signal = SIGTERM,
        .kill_signal = SIGKILL,
        .once = true,
    };

    (void)snprintf(path, sizeof(path), "%s/postgres", cluster->programs);
    if (text_input(bootstrap_sql, &input, err) < 0)
        return -1;
    job.input = input;
    return supervisor_run_job(supervisor, &job, err);
}

int cluster_create(const struct cluster *cluster, struct supervisor *supervisor, struct error *err)
{
    char fresh[CLUSTER_TEXT_SIZE];

    (void)snprintf(fresh, sizeof(fresh), "%s/data.new", cluster->folder);
    if (folder_remove(fresh, err) < 0 || folder_ensure(fresh, &cluster->identity, 0700, err) < 0)
        return -1;
    if (run_initdb(cluster, supervisor, fresh, err) < 0 ||
        run_bootstrap(cluster, supervisor, fresh, err) < 0)
        return error_wrap(err, "making the private PostgreSQL (see %s/start.log)", cluster->folder);
    if (rename(fresh, cluster->data) < 0)
        return error_set_errno(err, errno, "%s", cluster->data);
    return 0;
}

/* True when `pid` is a PostgreSQL that works in this data folder (it makes it its cwd). */
static bool is_our_postgres(pid_t pid, const char *data)
{
    char link[64];
    char target[CLUSTER_TEXT_SIZE];
    ssize_t size;

    (void)snprintf(link, sizeof(link), "/proc/%d/cwd", (int)pid);
    size = readlink(link, target, sizeof(target) - 1);
    if (size < 0)
        return false;
    target[size] = '\0';
    return strcmp(target, data) == 0;
}

/* A PostgreSQL that outlived a killed supervisor is asked to end (SIGINT: fast shutdown). */
static int end_leftover(pid_t pid, const char *data, struct error *err)
{
    struct pollfd polled = {.events = POLLIN};
    _cleanup_close_ int pidfd = pidfd_open(pid, 0);

    if (pidfd < 0 || !is_our_postgres(pid, data))
        return 0;
    polled.fd = pidfd;
    (void)pidfd_send_signal(pidfd, SIGINT, NULL, 0);
    if (poll(&polled, 1, LEFTOVER_STOP_SECONDS * 1000) <= 0)
        return error_set(err, ERR_INTERNAL, "a PostgreSQL of an earlier run (pid %d) does not stop",
                         (int)pid);
    return 0;
}

int cluster_clear_leftovers(const struct cluster *cluster, struct error *err)
{
    char path[CLUSTER_TEXT_SIZE + 32];
    _cleanup_free_ char *text = NULL;
    uint64_t pid;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/postmaster.pid", cluster->data);
    if (access(path, F_OK) < 0)
        return 0;
    if (read_file(AT_FDCWD, path, 4096, &text, &size, err) < 0)
        return -1;
    text[strcspn(text, "\n")] = '\0';
    if (parse_u64(text, INT32_MAX, &pid) && end_leftover((pid_t)pid, cluster->data, err) < 0)
        return -1;
    /* We hold the lock of this state folder and nothing runs on the data: the file is a crash's.
     * PostgreSQL would keep it when its pid belongs to another process by now. */
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "%s", path);
    return 0;
}
