#include "cli/supervisor.h"

#include "cli/backoff.h"
#include "cli/spawn.h"
#include "lib/base/util.h"
#include <atoll/log.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>

struct slot {
    struct service service;
    struct backoff backoff;
    int pidfd; /* -1: not running */
    pid_t pid;
    int64_t started_usec;
    int64_t restart_usec; /* 0: not planned */
};

struct supervisor {
    int signal_fd;
    bool stopping;
    size_t count;
    struct slot slots[SUPERVISOR_SERVICES_MAX];
};

int supervisor_new(struct supervisor **ret_supervisor, struct error *err)
{
    _cleanup_close_ int signal_fd = -1;
    struct supervisor *supervisor;
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return error_set_errno(err, errno, "blocking signals");
    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0)
        return error_set_errno(err, errno, "signalfd");
    supervisor = calloc(1, sizeof(*supervisor));
    if (!supervisor)
        return error_no_memory(err);
    supervisor->signal_fd = TAKE_FD(signal_fd);
    *ret_supervisor = supervisor;
    return 0;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    supervisor_stop(supervisor, 0);
    (void)close(supervisor->signal_fd);
    free(supervisor);
}

static int slot_start(struct slot *slot, struct error *err)
{
    const struct service *service = &slot->service;
    struct spawn spawn = {
        .path = service->path,
        .argv = service->argv,
        .environment = service->environment,
        .identity = service->identity,
        .input = service->input,
        .output = service->output,
        .death_signal = service->stop_signal,
        .own_group = true,
    };

    if (spawn_start(&spawn, &slot->pid, &slot->pidfd, err) < 0)
        return -1;
    slot->started_usec = monotonic_usec();
    slot->restart_usec = 0;
    return 0;
}

int supervisor_start(struct supervisor *supervisor, const struct service *service,
                     struct error *err)
{
    struct slot slot = {.service = *service, .pidfd = -1};

    if (supervisor->count == SUPERVISOR_SERVICES_MAX)
        return error_set(err, ERR_INTERNAL, "too many services");
    if (slot_start(&slot, err) < 0)
        return -1;
    supervisor->slots[supervisor->count++] = slot;
    return 0;
}

static void slot_forget(struct slot *slot)
{
    (void)close(TAKE_FD(slot->pidfd));
}

static void plan_restart(struct slot *slot, const char *reason)
{
    int64_t now = monotonic_usec();
    int64_t delay = backoff_next(&slot->backoff, now - slot->started_usec);

    slot->restart_usec = now + delay;
    log_warn("%s ended (%s); starting it again in %lld s", slot->service.name, reason,
             (long long)(delay / 1000000));
}

/* Takes note of a child's end. Under `strict` the end of a service is an error. */
static int slot_ended(struct slot *slot, bool strict, struct error *err)
{
    char text[64];
    int status;

    if (spawn_reap(slot->pid, &status, err) < 0)
        return -1;
    slot_forget(slot);
    (void)spawn_status_text(status, text);
    if (slot->service.once) {
        if (status != 0)
            log_warn("%s failed (%s)", slot->service.name, text);
        return 0;
    }
    if (strict)
        return error_set(err, ERR_INTERNAL, "%s ended while starting (%s)%s%s", slot->service.name,
                         text, slot->service.log ? ": see " : "",
                         slot->service.log ? slot->service.log : "");
    plan_restart(slot, text);
    return 0;
}

static void restart_due(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct slot *slot = &supervisor->slots[i];
        struct error err = {0};

        if (slot->restart_usec == 0 || monotonic_usec() < slot->restart_usec)
            continue;
        if (slot_start(slot, &err) < 0) {
            slot->started_usec = monotonic_usec();
            plan_restart(slot, err.message);
        }
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The poll timeout: until the caller's deadline or the next restart; -1 for neither. */
static int wait_ms(const struct supervisor *supervisor, int64_t deadline_usec)
{
    int64_t next = deadline_usec;

    for (size_t i = 0; i < supervisor->count; i++)
        next = earlier(next, supervisor->slots[i].restart_usec);
    return next == 0 ? -1 : deadline_left_ms(next);
}

static void read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info))
        supervisor->stopping = true;
}

/* One turn of the loop; *ret_fd_ready is whether `fd` became readable. */
static int turn(struct supervisor *supervisor, int fd, int64_t deadline_usec, bool strict,
                bool *ret_fd_ready, struct error *err)
{
    struct pollfd polled[SUPERVISOR_SERVICES_MAX + 2] = {
        {.fd = supervisor->signal_fd, .events = POLLIN},
        {.fd = fd, .events = POLLIN},
    };

    for (size_t i = 0; i < supervisor->count; i++)
        polled[i + 2] = (struct pollfd){.fd = supervisor->slots[i].pidfd, .events = POLLIN};
    if (poll(polled, supervisor->count + 2, wait_ms(supervisor, deadline_usec)) < 0) {
        if (errno != EINTR)
            return error_set_errno(err, errno, "poll");
        memset(polled, 0, sizeof(polled));
    }
    if (polled[0].revents)
        read_signals(supervisor);
    *ret_fd_ready = polled[1].revents != 0;
    for (size_t i = 0; i < supervisor->count; i++) {
        if (polled[i + 2].revents && slot_ended(&supervisor->slots[i], strict, err) < 0)
            return -1;
    }
    restart_due(supervisor);
    return 0;
}

int supervisor_wait(struct supervisor *supervisor, int fd, int64_t deadline_usec, bool strict,
                    enum supervisor_event *ret_event, struct error *err)
{
    bool fd_ready = false;

    while (!fd_ready && !supervisor->stopping) {
        if (turn(supervisor, fd, deadline_usec, strict, &fd_ready, err) < 0)
            return -1;
        if (!fd_ready && deadline_usec != 0 && monotonic_usec() >= deadline_usec) {
            *ret_event = SUPERVISOR_TIMEOUT;
            return 0;
        }
    }
    *ret_event = supervisor->stopping ? SUPERVISOR_STOP : SUPERVISOR_FD;
    return 0;
}

/* Sends a signal and waits for the end, at most SUPERVISOR_STOP_SECONDS. True when it ended. */
static bool end_slot(struct slot *slot, int number)
{
    struct pollfd polled = {.fd = slot->pidfd, .events = POLLIN};
    int64_t deadline = monotonic_usec() + SUPERVISOR_STOP_SECONDS * INT64_C(1000000);
    struct error err;
    int status;

    /* The whole group: a job's tools must end with it. Services have one process, or (PostgreSQL)
     * a first one that ends the others, which a signal to each of them would disturb. */
    if (slot->service.once)
        (void)kill(-slot->pid, number);
    else
        (void)pidfd_send_signal(slot->pidfd, number, NULL, 0);
    while (poll(&polled, 1, deadline_left_ms(deadline)) < 0 && errno == EINTR)
        ;
    if (!polled.revents)
        return false;
    (void)spawn_reap(slot->pid, &status, &err);
    slot_forget(slot);
    return true;
}

static void slot_stop(struct slot *slot)
{
    slot->restart_usec = 0;
    if (slot->pidfd < 0 || end_slot(slot, slot->service.stop_signal))
        return;
    log_warn("%s did not stop in %d s: killing it", slot->service.name, SUPERVISOR_STOP_SECONDS);
    if (!end_slot(slot, slot->service.kill_signal) && !end_slot(slot, SIGKILL))
        log_error("%s cannot be killed (pid %d)", slot->service.name, (int)slot->pid);
}

void supervisor_stop(struct supervisor *supervisor, size_t keep)
{
    while (supervisor->count > keep)
        slot_stop(&supervisor->slots[--supervisor->count]);
}

int supervisor_run_job(struct supervisor *supervisor, const struct service *job, struct error *err)
{
    struct slot slot = {.service = *job, .pidfd = -1};
    enum supervisor_event event;
    char text[64];
    int status;

    if (slot_start(&slot, err) < 0)
        return -1;
    if (supervisor_wait(supervisor, slot.pidfd, 0, true, &event, err) < 0) {
        slot_stop(&slot);
        return -1;
    }
    if (event == SUPERVISOR_STOP) {
        slot_stop(&slot);
        return error_set(err, ERR_INTERNAL, "%s was interrupted", job->name);
    }
    if (spawn_reap(slot.pid, &status, err) < 0)
        return -1;
    slot_forget(&slot);
    if (status != 0)
        return error_set(err, ERR_INTERNAL, "%s failed (%s)", job->name,
                         spawn_status_text(status, text));
    return 0;
}
