#include "server/services/attach_source.h"

#include "lib/base/util.h"
#include "lib/runtime/launcher_client.h"
#include "lib/runtime/process_log.h"
#include "server/services/process_agent.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

enum { SCAN_MS = 10 * 1000 }; /* for the search for the last lines */

struct attach_source {
    struct agent_attach *agent; /* or */
    struct process_log *log;
    bool no_stdout;
    bool no_stderr;
    bool done;
};

void attach_source_free(struct attach_source *source)
{
    if (!source)
        return;
    agent_attach_free(source->agent);
    process_log_free(source->log);
    free(source);
}

DEFINE_CLEANUP(struct attach_source *, attach_source, attach_source_free)

int attach_source_fd(const struct attach_source *source)
{
    return source->agent ? agent_attach_fd(source->agent) : -1;
}

int attach_source_receive(struct attach_source *source, struct error *err)
{
    return source->agent ? agent_attach_receive(source->agent, err) : 0;
}

static bool is_wanted(const struct attach_source *source, const struct process_log_entry *entry)
{
    return entry->kind == PROCESS_LOG_OUTPUT &&
           !(entry->stream == AGENT_STREAM_STDOUT ? source->no_stdout : source->no_stderr);
}

static int next_of_log(struct attach_source *source, struct agent_attach_event *ret_event,
                       struct error *err)
{
    struct process_log_entry entry;
    int found;

    if (source->done)
        return 0;
    do {
        found = process_log_next(source->log, &entry, err);
    } while (found > 0 && !is_wanted(source, &entry));
    if (found < 0)
        return -1;
    source->done = found == 0;
    *ret_event = (struct agent_attach_event){.kind = AGENT_ATTACH_DONE};
    if (!source->done)
        *ret_event = (struct agent_attach_event){
            .kind = AGENT_ATTACH_OUTPUT,
            .stream = entry.stream,
            .offset = entry.offset,
            .gap = entry.gap,
            .time_usec = entry.time_usec,
            .bytes = entry.bytes,
            .size = entry.size,
        };
    return 1;
}

int attach_source_next(struct attach_source *source, struct agent_attach_event *ret_event,
                       struct error *err)
{
    int found;

    if (!source->agent)
        return next_of_log(source, ret_event, err);
    do {
        found = agent_attach_next(source->agent, ret_event, err);
    } while (found > 0 && ret_event->kind == AGENT_ATTACH_STATE);
    return found;
}

static int open_agent(struct services *services, const struct process_info *info,
                      const struct attach_options *options, struct attach_source *source,
                      struct error *err)
{
    const struct agent_attach_options wanted = {
        .offset = options->since,
        .follow = options->follow,
        .no_stdout = options->no_stdout,
        .no_stderr = options->no_stderr,
    };
    int64_t deadline = monotonic_usec() + PROCESS_AGENT_MS * INT64_C(1000);
    struct agent_client *client;

    if (launcher_client_connect_agent(services->launcher, &info->row.sandbox, info->row.generation,
                                      deadline, &client, err) < 0)
        return -1;
    return agent_attach_begin(client, &info->row.id, &wanted, &source->agent, err);
}

static int open_log(struct services *services, const struct process_info *info,
                    const struct attach_options *options, struct attach_source *source,
                    struct error *err)
{
    const struct config *config = atomic_load(&services->config);
    _cleanup_close_ int folder = -1;

    if (process_log_folder(config->state_dir, &info->row.sandbox, info->row.generation, &folder,
                           err) == 0 &&
        process_log_open(folder, &info->row.id, options->since, &source->log, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND, "the process has no log (any more)");
    return -1;
}

static int open_source(struct services *services, const struct process_info *info,
                       const struct attach_options *options, struct attach_source **ret_source,
                       struct error *err)
{
    _cleanup_(cleanup_attach_source) struct attach_source *source = calloc(1, sizeof(*source));
    int status;

    if (!source)
        return error_set_errno(err, ENOMEM, "cannot read a process's output");
    source->no_stdout = options->no_stdout;
    source->no_stderr = options->no_stderr;
    if (info->is_live)
        status = open_agent(services, info, options, source, err);
    else
        status = open_log(services, info, options, source, err);
    if (status == 0)
        *ret_source = TAKE_PTR(source);
    return status;
}

/* --- the last lines */

/* Where the last lines begin: a ring. */
struct line_starts {
    uint64_t *starts;
    size_t capacity;
    size_t count; /* of all lines */
    bool in_line; /* the last byte did not end one */
};

static void count_lines(struct line_starts *lines, const struct agent_attach_event *event)
{
    const char *bytes = event->bytes;

    for (size_t i = 0; i < event->size; i++) {
        if (!lines->in_line)
            lines->starts[lines->count++ % lines->capacity] = event->offset + i;
        lines->in_line = bytes[i] != '\n';
    }
}

/* Waits for more of the source. */
static int await_more(struct attach_source *source, int64_t deadline, struct error *err)
{
    struct pollfd poller = {.fd = attach_source_fd(source), .events = POLLIN};

    if (poll(&poller, 1, deadline_left_ms(deadline)) < 1)
        return error_set(err, ERR_UNAVAILABLE, "the log is not read in time");
    return attach_source_receive(source, err);
}

static int scan_lines(struct attach_source *source, struct line_starts *lines, struct error *err)
{
    int64_t deadline = monotonic_usec() + SCAN_MS * INT64_C(1000);
    struct agent_attach_event event;

    for (;;) {
        int found = attach_source_next(source, &event, err);

        if (found < 0 || (found == 0 && await_more(source, deadline, err) < 0))
            return -1;
        if (found > 0 && event.kind == AGENT_ATTACH_DONE)
            return 0;
        if (found > 0)
            count_lines(lines, &event);
    }
}

static int find_tail(struct services *services, const struct process_info *info,
                     const struct attach_options *options, uint64_t *ret_since, struct error *err)
{
    _cleanup_(cleanup_attach_source) struct attach_source *source = NULL;
    struct line_starts lines = {.capacity = options->tail};
    struct attach_options scan = *options;
    _cleanup_free_ uint64_t *starts = calloc(options->tail, sizeof(*starts));

    if (!starts)
        return error_set_errno(err, ENOMEM, "cannot find the last lines");
    lines.starts = starts;
    scan.since = 0;
    scan.follow = false;
    if (open_source(services, info, &scan, &source, err) < 0 || !source ||
        scan_lines(source, &lines, err) < 0)
        return -1;
    if (lines.count > 0)
        *ret_since = starts[lines.count > lines.capacity ? lines.count % lines.capacity : 0];
    return 0;
}

int attach_source_open(struct services *services, const struct process_info *info,
                       const struct attach_options *options, struct attach_source **ret_source,
                       struct error *err)
{
    struct attach_options from = *options;

    if (options->tail > 0 && find_tail(services, info, options, &from.since, err) < 0)
        return -1;
    return open_source(services, info, &from, ret_source, err);
}
