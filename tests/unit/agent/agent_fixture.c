#include "tests/unit/agent/agent_fixture.h"

#include "lib/base/util.h"

#include <atoll/agent_proto.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h wants the headers above it. */
#include <cmocka.h>

enum { DEADLINE_USEC = 600 * 1000 * 1000, BACKLOG = 128, LISTEN_HIGH = 100 };

static const char *agent_path(void)
{
    static char path[4096];
    const char *agent = getenv("ATOLL_AGENT");
    const char *build = getenv("BUILD");

    if (agent)
        return agent;
    (void)snprintf(path, sizeof(path), "%s/bin/atoll-agent", build ? build : "build");
    return path;
}

int64_t agent_fixture_deadline(void)
{
    return monotonic_usec() + DEADLINE_USEC;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, BACKLOG), 0);
    return fd;
}

/* The rest of a child: descriptors as the launcher would leave them, then exec. */
static _Noreturn void become_agent(int listen_fd, int logs_fd, const char *profile)
{
    char option[64];
    char *argv[] = {"atoll-agent", option, NULL};
    char *env[] = {NULL};
    int agent_fd = open(agent_path(), O_RDONLY | O_CLOEXEC);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)snprintf(option, sizeof(option), "--profile=%s", profile);
    if (agent_fd < 0 || null_fd < 0)
        _exit(101);
    listen_fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, LISTEN_HIGH);
    logs_fd = fcntl(logs_fd, F_DUPFD_CLOEXEC, LISTEN_HIGH);
    agent_fd = fcntl(agent_fd, F_DUPFD_CLOEXEC, LISTEN_HIGH);
    for (int fd = 0; fd < 3; fd++)
        (void)dup2(null_fd, fd);
    (void)dup2(listen_fd, AGENT_FD_LISTEN);
    (void)dup2(logs_fd, AGENT_FD_LOGS);
    (void)close_range(AGENT_FD_LOGS + 1, LISTEN_HIGH - 1, 0);
    (void)fexecve(agent_fd, argv, env);
    _exit(102);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

/* In process 1: a /proc and terminals of its own, then exec. */
static _Noreturn void become_process_1(int listen_fd, int logs_fd, const char *profile)
{
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
        mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=0620,gid=5") < 0)
        _exit(103);
    become_agent(listen_fd, logs_fd, profile);
}

/*
 * In a child of the test: asks for its ids to be mapped, makes process 1, tells its pid, and ends
 * it when the test closes its side or dies. (PR_SET_PDEATHSIG would not last in the agent: a change
 * of identity clears it.)
 */
static _Noreturn void keep_agent(int talk_fd, int listen_fd, int logs_fd, const char *profile)
{
    pid_t pid = 0;
    char byte;

    if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC) < 0 ||
        write(talk_fd, &pid, sizeof(pid)) != sizeof(pid) || read(talk_fd, &byte, 1) != 1)
        _exit(104);
    pid = fork();
    if (pid == 0)
        become_process_1(listen_fd, logs_fd, profile);
    if (pid < 0 || write(talk_fd, &pid, sizeof(pid)) != sizeof(pid))
        _exit(105);
    (void)!read(talk_fd, &byte, 1);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    _exit(0);
}

/* Maps the first 65,536 ids onto themselves. */
static bool map_ids(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
    if (!write_text(path, "0 0 65536"))
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
    return write_text(path, "0 0 65536");
}

/* The test's side of keep_agent. */
static bool await_agent(struct agent_fixture *fixture)
{
    pid_t pid;

    if (read(fixture->talk_fd, &pid, sizeof(pid)) != sizeof(pid) || !map_ids(fixture->keeper) ||
        write(fixture->talk_fd, "", 1) != 1 ||
        read(fixture->talk_fd, &pid, sizeof(pid)) != sizeof(pid))
        return false;
    fixture->agent = pid;
    return true;
}

int agent_fixture_logs(const struct agent_fixture *fixture)
{
    int fd = open(fixture->logs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static bool start_agent(struct agent_fixture *fixture, const char *profile)
{
    int listen_fd = listen_at(fixture->socket);
    int logs_fd = agent_fixture_logs(fixture);
    int talk[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk), 0);
    fixture->talk_fd = talk[0];
    fixture->keeper = fork();
    if (fixture->keeper == 0) {
        close(talk[0]);
        keep_agent(talk[1], listen_fd, logs_fd, profile);
    }
    close(talk[1]);
    close(listen_fd);
    close(logs_fd);
    return await_agent(fixture);
}

bool agent_fixture_start(struct agent_fixture *fixture, const char *profile)
{
    if (geteuid() != 0) {
        print_message("[  SKIP    ] the agent's tests need root\n");
        return false;
    }
    strcpy(fixture->folder, "/tmp/atoll-agent.XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(chmod(fixture->folder, 01777), 0);
    (void)snprintf(fixture->logs, sizeof(fixture->logs), "%s/logs", fixture->folder);
    assert_int_equal(mkdir(fixture->logs, 0700), 0);
    (void)snprintf(fixture->socket, sizeof(fixture->socket), "%s/agent.sock", fixture->folder);
    if (start_agent(fixture, profile))
        return true;
    print_message("[  SKIP    ] this host gives no user namespaces\n");
    agent_fixture_stop(fixture);
    return false;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void agent_fixture_stop(struct agent_fixture *fixture)
{
    close(fixture->talk_fd);
    (void)waitpid(fixture->keeper, NULL, 0);
    (void)nftw(fixture->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int agent_group_set_up(void **state)
{
    struct agent_fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    if (agent_fixture_start(fixture, "strict"))
        *state = fixture;
    else
        free(fixture);
    return 0;
}

int agent_group_tear_down(void **state)
{
    if (*state)
        agent_fixture_stop(*state);
    free(*state);
    return 0;
}

const struct agent_fixture *agent_group(void **state)
{
    if (!*state)
        skip();
    return *state;
}

struct agent_client *agent_fixture_connect(const struct agent_fixture *fixture)
{
    struct agent_client *client = NULL;
    struct error err = {0};

    if (agent_client_connect(fixture->socket, agent_fixture_deadline(), &client, &err) < 0)
        fail_msg("%s", err.message);
    return client;
}

void agent_fixture_folder(const struct agent_fixture *fixture,
                          char folder[static AGENT_FIXTURE_FOLDER_SIZE])
{
    (void)snprintf(folder, AGENT_FIXTURE_FOLDER_SIZE, "%s/test.XXXXXX", fixture->folder);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0777), 0);
}

int agent_fixture_socket(const struct agent_fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, fixture->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}
