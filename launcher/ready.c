#include "launcher/ready.h"

#include "launcher/create.h"
#include "launcher/destroy.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A sandbox that has just been made is at work, and shares the processors with us. Short ones
     * are gone before. */
    READY_DELAY_USEC = 20 * 1000,
    READY_PAUSE_USEC = 20 * 1000,
};

static bool shape_equal(const struct sandbox_shape *a, const struct sandbox_shape *b)
{
    return a->image_dev == b->image_dev && a->image_ino == b->image_ino &&
           a->profile == b->profile && a->upper == b->upper && a->upper_bytes == b->upper_bytes &&
           a->memory_bytes == b->memory_bytes && a->cpu_milli == b->cpu_milli &&
           a->pids_max == b->pids_max && a->capabilities == b->capabilities &&
           a->read_only_root == b->read_only_root && a->keep_logs == b->keep_logs &&
           a->keep_disk == b->keep_disk;
}

/* A log folder has the sandbox's name from the start. A layer on disk takes too much to be made for
 * nobody. */
static bool may_be_made_ahead(const struct launcher *launcher, const struct sandbox_shape *shape)
{
    return !launcher->cgroup.v2 && shape->upper == LAUNCHER_UPPER_TMPFS && !shape->keep_logs;
}

void ready_follow(struct launcher *launcher, const struct sandbox *sandbox)
{
    struct ready *ready = &launcher->ready;

    /* Two alike in a row: shapes that take turns would have each its sandbox made for nothing. */
    ready->wanted =
        may_be_made_ahead(launcher, &sandbox->shape) && shape_equal(&ready->shape, &sandbox->shape);
    ready->shape = sandbox->shape;
    memcpy(ready->image, sandbox->image, sizeof(ready->image));
}

int64_t ready_due_usec(const struct launcher *launcher)
{
    int64_t due = launcher->ready.pause_end_usec ? launcher->ready.pause_end_usec : 1;

    if (!launcher->ready.wanted || launcher->ready.sandbox || launcher->stopping ||
        !launcher->network_ready)
        return 0;
    for (const struct sandbox *s = launcher->table.first; s; s = s->next) {
        if (s->phase == SANDBOX_EXITED || s->ready)
            continue;
        /* Somebody waits for the end of this phase, and would wait for us. */
        if (s->phase != SANDBOX_LIVE)
            return 0;
        if (due < s->released_usec + READY_DELAY_USEC)
            due = s->released_usec + READY_DELAY_USEC;
    }
    return due;
}

void ready_pause(struct launcher *launcher, bool pause)
{
    launcher->ready.pause_end_usec = pause ? monotonic_usec() + READY_PAUSE_USEC : 0;
}

static void give_up(struct launcher *launcher, uint32_t step, int failure)
{
    launcher->ready.wanted = false;
    log_warn("cannot keep a sandbox ready: cannot %s: %s", create_step_text(step),
             strerrordesc_np(failure));
}

void ready_was_killed(struct launcher *launcher)
{
    give_up(launcher, STEP_DIED, ECHILD);
}

void ready_make(struct launcher *launcher)
{
    struct ready *ready = &launcher->ready;
    struct sandbox_shape shape = ready->shape;
    _cleanup_close_ int rootfs = create_open_image(launcher, ready->image, &shape);
    uint32_t step;
    int failure;

    /* The image of that shape is no more. */
    if (rootfs < 0 || !shape_equal(&shape, &ready->shape)) {
        ready->wanted = false;
        return;
    }
    failure = create_ahead(launcher, ready->image, &shape, rootfs, &ready->sandbox, &step);
    if (failure) {
        give_up(launcher, step, failure);
        ready_discard(launcher);
    }
}

/* Its end may not have been handled yet. */
static bool has_ended(const struct sandbox *sandbox)
{
    struct pollfd process = {.fd = sandbox->pidfd.fd, .events = POLLIN};

    return sandbox->phase > SANDBOX_LIVE || poll(&process, 1, 0) != 0;
}

static int write_state(const struct launcher *launcher, const struct sandbox *sandbox)
{
    _cleanup_close_ int folder =
        openat(launcher->sandboxes, sandbox->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return folder < 0 ? -1 : create_write_state(folder, sandbox);
}

/*
 * The rename of the folder comes last and makes it a sandbox: a later launcher adopts a folder of a
 * sandbox's name that has a state file, and sweeps whatever else it finds under either name.
 */
static int give_name(const struct launcher *launcher, const struct sandbox *sandbox,
                     const char *name)
{
    int folders = launcher->sandboxes;
    int saved;

    if (write_state(launcher, sandbox) < 0 ||
        cgroup_rename(&launcher->cgroup, sandbox->name, name) < 0)
        return -1;
    if (renameat2(folders, sandbox->name, folders, name, RENAME_NOREPLACE) == 0)
        return 0;
    saved = errno;
    (void)cgroup_rename(&launcher->cgroup, name, sandbox->name);
    errno = saved;
    return -1;
}

/* A ready one, with the image's name and the time of its creation, becomes this sandbox. */
static void become(struct launcher *launcher, struct sandbox *sandbox, const struct id *id,
                   uint32_t generation)
{
    int64_t now = monotonic_usec();
    bool starting = sandbox->phase == SANDBOX_STARTING;

    sandbox_table_rename(&launcher->table, sandbox, id, generation);
    sandbox->ready = false;
    sandbox->made_ahead = true;
    sandbox->creating = starting;
    sandbox->released_usec = now;
    sandbox->deadline_usec = starting ? now + CREATE_DEADLINE_USEC : 0;
    sandbox->timings = (struct launcher_timings){
        .cgroup_usec = (uint32_t)(now - sandbox->created_usec),
    };
}

struct sandbox *ready_claim(struct launcher *launcher, const struct launcher_request *request,
                            const struct sandbox_shape *shape)
{
    struct sandbox *sandbox = launcher->ready.sandbox;
    char name[SANDBOX_NAME_SIZE];

    if (!sandbox || has_ended(sandbox))
        return NULL;
    if (!shape_equal(&sandbox->shape, shape)) {
        ready_discard(launcher);
        return NULL;
    }
    sandbox->created_usec = monotonic_usec();
    memcpy(sandbox->image, request->image, sizeof(sandbox->image));
    sandbox_name_format(&request->id, request->generation, name);
    if (give_name(launcher, sandbox, name) < 0) {
        give_up(launcher, STEP_NAME, errno);
        ready_discard(launcher);
        return NULL;
    }
    launcher->ready.sandbox = NULL;
    become(launcher, sandbox, &request->id, request->generation);
    return sandbox;
}

void ready_discard(struct launcher *launcher)
{
    struct sandbox *sandbox = TAKE_PTR(launcher->ready.sandbox);

    if (sandbox && sandbox->phase <= SANDBOX_LIVE)
        destroy_kill(launcher, sandbox);
}

void ready_ended(struct launcher *launcher, const struct sandbox *sandbox)
{
    if (launcher->ready.sandbox != sandbox)
        return;
    launcher->ready.sandbox = NULL;
    if (sandbox->failure)
        give_up(launcher, sandbox->failure_step, sandbox->failure);
    else
        give_up(launcher, STEP_DIED, ECHILD);
}
