#include "launcher/ops.h"

#include "launcher/create.h"
#include "launcher/destroy.h"
#include "launcher/loop.h"
#include "launcher/ready.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A process that waits for a disk stands still when it has it. */
enum { FREEZE_DEADLINE_USEC = 5 * 1000 * 1000 };

static enum ops_result answer_status(struct launcher_answer *answer, int status)
{
    answer->reply.status = status;
    return OPS_ANSWERED;
}

static enum ops_result op_create(struct launcher *launcher, const struct launcher_request *request,
                                 struct launcher_answer *answer)
{
    struct sandbox *sandbox = NULL;
    uint32_t step;
    int failure = create_start(launcher, request, &sandbox, &step);

    if (sandbox && failure)
        destroy_kill(launcher, sandbox);
    if (sandbox && sandbox->phase == SANDBOX_LIVE) {
        ready_follow(launcher, sandbox);
        answer->reply.timings = sandbox->timings;
        return OPS_ANSWERED;
    }
    /* With a child there is always something to wait for: its exec, or its end. */
    if (sandbox)
        return OPS_WAITS;
    answer->reply.step = step;
    (void)snprintf(answer->reply.detail, sizeof(answer->reply.detail), "cannot %s: %s",
                   create_step_text(step), strerrordesc_np(failure));
    log_warn("create: %s", answer->reply.detail);
    return answer_status(answer, failure);
}

static bool is_ending(const struct sandbox *sandbox)
{
    return sandbox->phase == SANDBOX_DYING || sandbox->phase == SANDBOX_DEAD;
}

bool ops_destroy_pending(const struct launcher *launcher, const struct launcher_request *request,
                         const struct sandbox *gone)
{
    struct sandbox *sandbox = NULL;

    while ((sandbox =
                sandbox_table_find(&launcher->table, sandbox, &request->id, request->generation)))
        if (sandbox != gone && is_ending(sandbox))
            return true;
    return false;
}

/* Returns 0 or an errno value. */
static int remove_disk(const struct launcher *launcher, const struct id *id)
{
    if (sandbox_table_find_running(&launcher->table, id, 0) || disk_busy(&launcher->disk, id))
        return EBUSY;
    if (disk_remove(&launcher->disk, id) == 0)
        return 0;
    return errno == ENOENT ? ESRCH : errno;
}

static enum ops_result op_remove(struct launcher *launcher, const struct launcher_request *request,
                                 struct launcher_answer *answer)
{
    return answer_status(answer, remove_disk(launcher, &request->id));
}

/* The same. */
static int remove_logs(struct launcher *launcher, const struct id *id, uint32_t generation)
{
    if (sandbox_table_find_running(&launcher->table, id, generation))
        return EBUSY;
    if (logs_remove(&launcher->log, id, generation) == 0)
        return 0;
    return errno == ENOENT ? ESRCH : errno;
}

static enum ops_result op_remove_logs(struct launcher *launcher,
                                      const struct launcher_request *request,
                                      struct launcher_answer *answer)
{
    return answer_status(answer, remove_logs(launcher, &request->id, request->generation));
}

static enum ops_result op_destroy(struct launcher *launcher, const struct launcher_request *request,
                                  struct launcher_answer *answer)
{
    struct sandbox *sandbox =
        sandbox_table_find(&launcher->table, NULL, &request->id, request->generation);
    bool early = request->early != 0;
    bool waits = false;

    ready_pause(launcher, early);
    if (!sandbox)
        return answer_status(answer,
                             request->remove_disk ? remove_disk(launcher, &request->id) : ESRCH);
    while (sandbox) {
        struct sandbox *next =
            sandbox_table_find(&launcher->table, sandbox, &request->id, request->generation);

        sandbox->wanted = true;
        if (sandbox->phase == SANDBOX_EXITED) {
            answer->reply.usage = sandbox->usage;
            sandbox_table_remove(&launcher->table, sandbox);
        } else {
            if (early) {
                destroy_read_usage(launcher, sandbox);
                answer->reply.usage = sandbox->usage;
            }
            sandbox->remove_disk |= request->remove_disk != 0;
            if (!is_ending(sandbox))
                destroy_kill(launcher, sandbox);
            waits = !early;
        }
        sandbox = next;
    }
    /* What is left of it removes the disk at its end; of one that had ended nothing is left. */
    if (request->remove_disk && !sandbox_table_find_running(&launcher->table, &request->id, 0))
        (void)remove_disk(launcher, &request->id);
    return waits ? OPS_WAITS : answer_status(answer, 0);
}

static struct sandbox *find_live(const struct launcher *launcher,
                                 const struct launcher_request *request)
{
    struct sandbox *sandbox =
        sandbox_table_find(&launcher->table, NULL, &request->id, request->generation);

    return sandbox && sandbox->phase == SANDBOX_LIVE ? sandbox : NULL;
}

static enum ops_result op_freeze(struct launcher *launcher, const struct launcher_request *request,
                                 struct launcher_answer *answer)
{
    struct sandbox *sandbox = find_live(launcher, request);
    bool frozen = false;

    if (!sandbox)
        return answer_status(answer, ESRCH);
    if (cgroup_freeze(&launcher->cgroup, sandbox->name, true) < 0)
        return answer_status(answer, errno);
    if (cgroup_frozen(&launcher->cgroup, sandbox->name, &frozen) == 0 && frozen) {
        sandbox->frozen = true;
        return answer_status(answer, 0);
    }
    sandbox->freezing = true;
    sandbox->freeze_end_usec = monotonic_usec() + FREEZE_DEADLINE_USEC;
    /* v2 tells when it is done; v1 only answers when it is asked. */
    if (loop_watch_freeze(launcher, sandbox) == 0)
        sandbox->deadline_usec = sandbox->freeze_end_usec;
    else
        sandbox->deadline_usec = monotonic_usec() + LOOP_FREEZE_LOOK_USEC;
    return OPS_WAITS;
}

static enum ops_result op_thaw(struct launcher *launcher, const struct launcher_request *request,
                               struct launcher_answer *answer)
{
    struct sandbox *sandbox = find_live(launcher, request);

    if (!sandbox)
        return answer_status(answer, ESRCH);
    if (cgroup_freeze(&launcher->cgroup, sandbox->name, false) < 0)
        return answer_status(answer, errno);
    loop_freeze_ended(launcher, sandbox, ECANCELED);
    sandbox->frozen = false;
    return answer_status(answer, 0);
}

/* Some live sandboxes, ordered by their blocks of uids. */
struct page {
    const struct sandbox *sandboxes[LAUNCHER_LIST_PAGE];
    uint32_t count;
    bool is_cut; /* there are more behind them */
};

/* Puts the sandbox into its place; the last makes room for it. */
static void page_add(struct page *page, const struct sandbox *sandbox)
{
    uint32_t at = page->count;

    while (at > 0 && page->sandboxes[at - 1]->slot > sandbox->slot)
        at--;
    page->is_cut |= page->count == LAUNCHER_LIST_PAGE;
    if (at == LAUNCHER_LIST_PAGE)
        return;
    page->count += page->count < LAUNCHER_LIST_PAGE;
    memmove(page->sandboxes + at + 1, page->sandboxes + at,
            (page->count - at - 1) * sizeof(page->sandboxes[0]));
    page->sandboxes[at] = sandbox;
}

/*
 * The cursor is the first block of uids to be listed. A sandbox keeps its block as long as it
 * lives, so whatever begins or ends between two pages, those that live through both are listed,
 * once.
 */
static enum ops_result op_list(struct launcher *launcher, const struct launcher_request *request,
                               struct launcher_answer *answer)
{
    struct launcher_reply *reply = &answer->reply;
    int64_t now = monotonic_usec();
    struct page page = {.count = 0};

    for (const struct sandbox *s = launcher->table.first; s; s = s->next)
        if (s->phase == SANDBOX_LIVE && !s->ready && s->slot >= request->cursor)
            page_add(&page, s);
    for (; reply->count < page.count; reply->count++) {
        const struct sandbox *s = page.sandboxes[reply->count];
        struct launcher_entry *entry = &answer->entries[reply->count];

        entry->id = s->id;
        entry->generation = s->generation;
        entry->pid = s->pid;
        entry->age_usec = (uint64_t)(now - s->created_usec);
        entry->frozen = s->frozen;
        memcpy(entry->image, s->image, sizeof(entry->image));
    }
    if (page.is_cut)
        reply->next_cursor = page.sandboxes[page.count - 1]->slot + 1;
    return OPS_ANSWERED;
}

/* The cursor is the number of disks already listed, in the folder's order. */
static enum ops_result op_disks(struct launcher *launcher, const struct launcher_request *request,
                                struct launcher_answer *answer)
{
    _cleanup_closedir_ DIR *folder = folder_open(launcher->disks);
    struct launcher_reply *reply = &answer->reply;
    uint32_t seen = 0;

    if (!folder)
        return answer_status(answer, errno);
    for (struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        struct id id;

        if (!disk_name_parse(file->d_name, &id) || seen++ < request->cursor)
            continue;
        if (reply->count == LAUNCHER_LIST_PAGE) {
            reply->next_cursor = request->cursor + LAUNCHER_LIST_PAGE;
            break;
        }
        answer->entries[reply->count++].id = id;
    }
    return OPS_ANSWERED;
}

static enum ops_result op_features(struct launcher *launcher,
                                   const struct launcher_request *request,
                                   struct launcher_answer *answer)
{
    (void)request;
    answer->reply.features = launcher->features;
    return OPS_ANSWERED;
}

static enum ops_result (*const handlers[])(struct launcher *launcher,
                                           const struct launcher_request *request,
                                           struct launcher_answer *answer) = {
    [LAUNCHER_OP_CREATE] = op_create,
    [LAUNCHER_OP_DESTROY] = op_destroy,
    [LAUNCHER_OP_FREEZE] = op_freeze,
    [LAUNCHER_OP_THAW] = op_thaw,
    [LAUNCHER_OP_LIST] = op_list,
    [LAUNCHER_OP_FEATURES] = op_features,
    [LAUNCHER_OP_REMOVE] = op_remove,
    [LAUNCHER_OP_DISKS] = op_disks,
    [LAUNCHER_OP_REMOVE_LOGS] = op_remove_logs,
};

enum ops_result ops_run(struct launcher *launcher, const struct launcher_request *request,
                        struct launcher_answer *answer)
{
    return handlers[request->op](launcher, request, answer);
}
