#include "server/services/files.h"

#include "lib/base/util.h"
#include "lib/db/store_container.h"
#include "lib/runtime/agent_check.h"
#include "server/services/agents.h"

#include <atoll/container.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A large folder takes its time; the request's thread waits no longer. */
enum { ANSWER_USEC = 60 * 1000 * 1000 };

/* A transfer is a use of the sandbox for as long as something moves. */
enum { USE_USEC = 2 * 1000 * 1000 };

/* Behind a leading "./": an answer's paths are those that a caller compares. */
static const char *skip_here(const char *path)
{
    while (strncmp(path, "./", 2) == 0 && path[1 + strspn(path + 1, "/")] != '\0')
        path += 1 + strspn(path + 1, "/");
    return path;
}

int files_resolve(const char *field, const char *path, char ret_path[static FILES_PATH_SIZE],
                  struct error *err)
{
    int size = path[0] == '/'
                   ? snprintf(ret_path, FILES_PATH_SIZE, "%s", path)
                   : snprintf(ret_path, FILES_PATH_SIZE, "%s/%s", SANDBOX_FOLDER, skip_here(path));

    if (size >= 0 && size < FILES_PATH_SIZE)
        return 0;
    return error_set_field(err, ERR_NOT_POSSIBLE, field, "'%s' must have at most %d bytes", field,
                           FILES_PATH_SIZE - 1);
}

/* Connects to the agent of a container that runs, which is a use of it. */
static int open_agent(struct services *services, const struct caller *caller, const struct id *id,
                      bool changes, int64_t deadline, struct agent_use *ret_use, struct error *err)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct db_scope scope = caller_scope(caller);

    if (store_container_use(services->db, &scope, id, changes, &record, err) < 0)
        return -1;
    if (record.state != SANDBOX_RUNNING)
        return error_set(err, ERR_CONFLICT, "the sandbox is %s: its files cannot be reached",
                         sandbox_state_name(record.state));
    return agents_connect(services, &record.id, record.generation, deadline, ret_use, err);
}

int files_change(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_file_request *request, struct error *err)
{
    int64_t deadline = monotonic_usec() + ANSWER_USEC;
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    if (open_agent(services, caller, id, true, deadline, &agent, err) < 0)
        return -1;
    return agent_files_change(agent.client, request, deadline, err);
}

int files_list(struct services *services, const struct caller *caller, const struct id *id,
               const struct agent_file_request *request, struct agent_file_list *ret_list,
               struct error *err)
{
    int64_t deadline = monotonic_usec() + ANSWER_USEC;
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    if (open_agent(services, caller, id, false, deadline, &agent, err) < 0)
        return -1;
    return agent_files_list(agent.client, request, deadline, ret_list, err);
}

int files_read(struct services *services, const struct caller *caller, const struct id *id,
               const char *user, const char *path, uint64_t offset, size_t limit,
               struct files_bytes *ret_bytes, struct error *err)
{
    int64_t deadline = monotonic_usec() + ANSWER_USEC;
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    if (open_agent(services, caller, id, false, deadline, &agent, err) < 0)
        return -1;
    return agent_files_read(agent.client, user, path, offset, limit, deadline, &ret_bytes->entry,
                            &ret_bytes->data, &ret_bytes->size, err);
}

/* What keeps a sandbox from being idle while something moves: a use noted now and then. */
struct use {
    struct services *services;
    const struct caller *caller;
    const struct id *id;
    int64_t next_usec;
    union {
        const struct agent_source *source;
        const struct agent_sink *sink;
        const struct agent_archive_sink *archive;
    };
};

static struct use begin_use(struct services *services, const struct caller *caller,
                            const struct id *id)
{
    return (struct use){
        .services = services,
        .caller = caller,
        .id = id,
        .next_usec = monotonic_usec() + USE_USEC,
    };
}

/* A failure is no reason to end the transfer: the next note may succeed. */
static void note_use(struct use *use)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct db_scope scope = caller_scope(use->caller);
    int64_t now = monotonic_usec();

    if (now < use->next_usec)
        return;
    use->next_usec = now + USE_USEC;
    (void)store_container_use(use->services->db, &scope, use->id, false, &record, NULL);
}

static ssize_t read_used(void *context, void *buffer, size_t size, struct error *err)
{
    struct use *use = context;

    note_use(use);
    return use->source->read(use->source->context, buffer, size, err);
}

static int begin_used(void *context, const struct agent_file_entry *entry, uint64_t *ret_wanted,
                      struct error *err)
{
    const struct use *use = context;

    return use->sink->begin(use->sink->context, entry, ret_wanted, err);
}

static int piece_used(void *context, const void *data, size_t size, struct error *err)
{
    struct use *use = context;

    note_use(use);
    return use->sink->piece(use->sink->context, data, size, err);
}

static int archive_used(void *context, const void *data, size_t size, struct error *err)
{
    struct use *use = context;

    note_use(use);
    return use->archive->piece(use->archive->context, data, size, err);
}

int files_download(struct services *services, const struct caller *caller, const struct id *id,
                   const char *user, const char *path, uint64_t offset,
                   const struct agent_sink *sink, struct error *err)
{
    struct use use = begin_use(services, caller, id);
    const struct agent_sink used = {begin_used, piece_used, &use};
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    use.sink = sink;
    if (open_agent(services, caller, id, false, monotonic_usec() + ANSWER_USEC, &agent, err) < 0)
        return -1;
    return agent_files_download(agent.client, user, path, offset, &used, ANSWER_USEC, err);
}

int files_upload(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_file_upload *upload, const struct agent_source *source,
                 struct agent_file_list *ret_entry, struct error *err)
{
    struct use use = begin_use(services, caller, id);
    const struct agent_source used = {read_used, &use};
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    use.source = source;
    if (open_agent(services, caller, id, true, monotonic_usec() + ANSWER_USEC, &agent, err) < 0)
        return -1;
    return agent_files_upload(agent.client, upload, &used, ANSWER_USEC, ret_entry, err);
}

int files_pack(struct services *services, const struct caller *caller, const struct id *id,
               const struct agent_archive_place *place, const char *format,
               const struct agent_archive_sink *sink, struct error *err)
{
    struct use use = begin_use(services, caller, id);
    const struct agent_archive_sink used = {archive_used, &use};
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    use.archive = sink;
    if (open_agent(services, caller, id, false, monotonic_usec() + ANSWER_USEC, &agent, err) < 0)
        return -1;
    return agent_archive_pack(agent.client, place, format, &used, ANSWER_USEC, err);
}

int files_unpack(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_archive_place *place, const struct agent_source *source,
                 struct agent_archive_count *ret_count, struct error *err)
{
    struct use use = begin_use(services, caller, id);
    const struct agent_source used = {read_used, &use};
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    use.source = source;
    if (open_agent(services, caller, id, true, monotonic_usec() + ANSWER_USEC, &agent, err) < 0)
        return -1;
    return agent_archive_unpack(agent.client, place, &used, ANSWER_USEC, ret_count, err);
}

void files_bytes_free(struct files_bytes *bytes)
{
    agent_file_list_free(&bytes->entry);
    free(bytes->data);
}

int files_write(struct services *services, const struct caller *caller, const struct id *id,
                const struct agent_file_content *contents, size_t count, struct error *results,
                struct error *err)
{
    int64_t deadline = monotonic_usec() + ANSWER_USEC;
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};

    for (size_t i = 0; i < count; i++)
        if (agent_check_user(contents[i].user, err) < 0)
            return -1;
    if (open_agent(services, caller, id, true, deadline, &agent, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct error){.message = ""};
        if (agent_files_write(agent.client, &contents[i], deadline, &results[i]) == 0 ||
            results[i].field[0] != '\0')
            continue;
        *err = results[i]; /* the agent's, not the file's */
        return -1;
    }
    return 0;
}
