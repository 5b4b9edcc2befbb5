#include "launcher/parked.h"

#include "launcher/create.h"
#include "launcher/loop.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* A sandbox that has just been made is at work, and shares the processors with us. Short ones are
 * gone before. */
enum { PARK_DELAY_USEC = 20 * 1000 };

struct parked {
    struct source source; /* of the cell's pidfd, which the cell owns; first: see parked_ended */
    struct cell cell;
    struct sandbox_shape shape;
};

static bool shape_equal(const struct sandbox_shape *a, const struct sandbox_shape *b)
{
    return a->image_dev == b->image_dev && a->image_ino == b->image_ino &&
           a->profile == b->profile && a->upper == b->upper && a->upper_bytes == b->upper_bytes &&
           a->shm_bytes == b->shm_bytes && a->capabilities == b->capabilities &&
           a->read_only_root == b->read_only_root;
}

void parked_follow(struct launcher *launcher, const struct sandbox *sandbox)
{
    struct parking *parking = &launcher->parking;

    /* Two alike in a row: shapes that take turns would have each its child made for nothing. A
     * layer on disk takes too much to be made for nobody. */
    parking->wanted = !launcher->cgroup.v2 && sandbox->shape.upper == LAUNCHER_UPPER_TMPFS &&
                      shape_equal(&parking->shape, &sandbox->shape);
    parking->shape = sandbox->shape;
    memcpy(parking->image, sandbox->image, sizeof(parking->image));
}

int64_t parked_due_usec(const struct launcher *launcher)
{
    int64_t due = 1;

    if (!launcher->parking.wanted || launcher->parking.child || !launcher->network_ready)
        return 0;
    for (const struct sandbox *s = launcher->table.first; s; s = s->next) {
        if (s->phase == SANDBOX_EXITED)
            continue;
        /* Somebody waits for the end of this phase, and would wait for us. */
        if (s->phase != SANDBOX_LIVE)
            return 0;
        if (due < s->released_usec + PARK_DELAY_USEC)
            due = s->released_usec + PARK_DELAY_USEC;
    }
    return due;
}

static void parked_free(struct launcher *launcher, struct parked *parked)
{
    cell_release(launcher, &parked->cell);
    free(parked);
}

/* Starts the child and watches it. On failure there is none. */
static int start(struct launcher *launcher, struct parked *parked, uint32_t *ret_step)
{
    struct cell *cell = &parked->cell;
    siginfo_t info;
    int saved;

    *ret_step = STEP_SLOT;
    if (cell_take_slot(launcher, cell) < 0 ||
        cell_start(launcher, cell, &parked->shape, -1, ret_step) < 0)
        return -1;
    parked->source = (struct source){SOURCE_PARKED, cell->pidfd, NULL};
    if (loop_watch_source(launcher, &parked->source) == 0)
        return 0;
    saved = errno;
    (void)pidfd_send_signal(cell->pidfd, SIGKILL, NULL, 0);
    (void)waitid(P_PIDFD, (id_t)cell->pidfd, &info, WEXITED);
    errno = saved;
    return -1;
}

/* Returns 0 also without a child when the image of that shape is no more. */
static int make(struct launcher *launcher, uint32_t *ret_step)
{
    struct parking *parking = &launcher->parking;
    struct sandbox_shape shape = parking->shape;
    _cleanup_close_ int rootfs = -1;
    struct parked *parked;

    *ret_step = STEP_IMAGE;
    rootfs = create_open_image(launcher, parking->image, &shape);
    if (rootfs < 0 || !shape_equal(&shape, &parking->shape)) {
        parking->wanted = false;
        return 0;
    }
    parked = calloc(1, sizeof(*parked));
    if (!parked)
        return -1;
    cell_init(&parked->cell);
    parked->shape = shape;
    if (start(launcher, parked, ret_step) < 0) {
        int saved = errno;

        parked_free(launcher, parked);
        errno = saved;
        return -1;
    }
    parking->child = parked;
    if (cell_furnish(launcher, &parked->cell, &shape, rootfs, NULL, ret_step) < 0) {
        int saved = errno;

        parked_discard(launcher);
        errno = saved;
        return -1;
    }
    return 0;
}

static void give_up(struct launcher *launcher, uint32_t step, int failure)
{
    launcher->parking.wanted = false;
    log_warn("cannot keep a child ready: cannot %s: %s", create_step_text(step),
             strerrordesc_np(failure));
}

void parked_was_killed(struct launcher *launcher)
{
    give_up(launcher, STEP_DIED, ECHILD);
}

void parked_make(struct launcher *launcher)
{
    uint32_t step;

    if (make(launcher, &step) < 0)
        give_up(launcher, step, errno);
}

struct cell *parked_match(struct launcher *launcher, const struct sandbox_shape *shape)
{
    struct parked *parked = launcher->parking.child;

    if (!parked)
        return NULL;
    if (shape_equal(&parked->shape, shape))
        return &parked->cell;
    parked_discard(launcher);
    return NULL;
}

void parked_taken(struct launcher *launcher)
{
    struct parked *parked = TAKE_PTR(launcher->parking.child);

    loop_unwatch_source(launcher, &parked->source);
    parked_free(launcher, parked);
}

void parked_discard(struct launcher *launcher)
{
    struct parked *parked = TAKE_PTR(launcher->parking.child);

    (void)pidfd_send_signal(parked->cell.pidfd, SIGKILL, NULL, 0);
}

void parked_ended(struct launcher *launcher, struct source *source)
{
    struct parked *parked = (struct parked *)source;
    struct child_failure word;
    siginfo_t info;

    if (launcher->parking.child == parked) {
        bool told = read(parked->cell.status, &word, sizeof(word)) == (ssize_t)sizeof(word);

        give_up(launcher, told ? word.step : STEP_DIED, told ? word.errnum : ECHILD);
        launcher->parking.child = NULL;
    }
    (void)waitid(P_PIDFD, (id_t)parked->cell.pidfd, &info, WEXITED | WNOHANG);
    loop_unwatch_source(launcher, source);
    parked_free(launcher, parked);
}
