#include "agent/file_search.h"

#include "agent/account.h"
#include "agent/clock.h"
#include "agent/failure.h"
#include "agent/file_path.h"
#include "agent/file_walk.h"
#include "agent/text.h"
#include "lib/agentproto/pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 64 * 1024,
    KEPT = AGENT_SEARCH_TEXT_MAX, /* of a line that is longer than the buffer */
    ENTRIES_A_STEP = 64,
    WORK_A_STEP = 256 * 1024, /* as pattern_search counts it: about a millisecond */
};

/* A line as it lies in the buffer. */
struct line {
    size_t begin; /* what of it is still there */
    size_t at;    /* what was searched */
    bool is_cut;  /* its begin is gone from the buffer */
    bool is_done; /* it has matched: the rest of it is passed over */
    uint64_t number;
};

struct file_search_state {
    struct account account;
    uint32_t flags; /* AGENT_SEARCH_* */
    uint32_t limit;
    int64_t deadline_usec;
    uint64_t matches;
    uint64_t bytes; /* of matches that were told */
    struct agent_found_message found;
    bool is_over;
    char glob[NAME_MAX + 1];
    char path[AGENT_PATH_MAX]; /* of the file at hand, below the folder */
    int fd;                    /* of the file that is read; -1: none */
    bool has_end;              /* it was read to its end */
    size_t size;               /* bytes in the buffer */
    struct line line;
    struct pattern pattern;
    struct pattern_search search;
    struct file_walk walk;
    uint8_t buffer[BUFFER_SIZE];
};

/* --- telling */

static uint32_t type_of(mode_t mode)
{
    if (S_ISREG(mode))
        return AGENT_FILE_REGULAR;
    if (S_ISDIR(mode))
        return AGENT_FILE_FOLDER;
    if (S_ISLNK(mode))
        return AGENT_FILE_LINK;
    if (S_ISFIFO(mode))
        return AGENT_FILE_FIFO;
    return S_ISSOCK(mode) ? AGENT_FILE_SOCKET : AGENT_FILE_DEVICE;
}

/* Tells a match, or that there are more than are wanted. */
static void tell(struct file_search_state *state, struct outbox *outbox,
                 const struct agent_match_message *match)
{
    size_t size;
    uint8_t *space = outbox_space(outbox, AGENT_MATCH_MAX, &size);
    size_t used = agent_match_encode(match, space, size);

    if (state->matches == state->limit || state->bytes + used > AGENT_SEARCH_BYTES_MAX) {
        state->found.flags |= AGENT_FOUND_LIMIT;
        state->is_over = true;
        return;
    }
    outbox_commit(outbox, AGENT_FRAME_MATCH, used);
    state->matches++;
    state->bytes += used;
}

/* Not in the middle of a character of UTF-8, if that can be avoided. */
static size_t character_begin(const uint8_t *bytes, size_t at, size_t end)
{
    for (unsigned i = 0; i < 3 && at < end && (bytes[at] & 0xc0u) == 0x80u; i++)
        at++;
    return at;
}

static size_t character_end(const uint8_t *bytes, size_t begin, size_t at)
{
    for (unsigned i = 0; i < 3 && at > begin && (bytes[at] & 0xc0u) == 0x80u; i++)
        at--;
    return at;
}

/* The line's bytes up to `end`, or those of them around the end of the match. */
static void tell_line(struct file_search_state *state, struct outbox *outbox, size_t end,
                      bool goes_on)
{
    char text[AGENT_SEARCH_TEXT_MAX];
    const struct line *line = &state->line;
    size_t begin = line->begin;
    size_t last = end;
    struct agent_match_message match = {
        .type = AGENT_FILE_REGULAR, .line = line->number, .path = state->path, .text = text};

    if (line->at - begin >= sizeof(text))
        begin = character_begin(state->buffer, line->at - sizeof(text) + 1, end);
    if (last - begin >= sizeof(text))
        last = character_end(state->buffer, begin, begin + sizeof(text) - 1);
    if (goes_on || line->is_cut || begin > line->begin || last < end)
        match.flags = AGENT_MATCH_CUT;
    memcpy(text, state->buffer + begin, last - begin);
    text[last - begin] = '\0';
    tell(state, outbox, &match);
}

/* --- one file */

static void begin_line(struct file_search_state *state, size_t begin)
{
    state->line.begin = state->line.at = begin;
    state->line.is_cut = state->line.is_done = false;
    state->line.number++;
    pattern_begin(&state->search);
}

static void end_file(struct file_search_state *state)
{
    file_path_close(&state->fd);
}

/* Opens the file to be searched. 0 or an errno. */
static int begin_file(struct file_search_state *state, int folder, const char *name)
{
    struct stat status;

    state->fd = file_path_regular(folder, name);
    if (state->fd < 0)
        return errno;
    if (fstat(state->fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        end_file(state);
        return EINVAL;
    }
    state->found.files++;
    state->has_end = false;
    state->size = 0;
    state->line.number = 0;
    begin_line(state, 0);
    return 0;
}

/* Makes room by forgetting what was searched, but for the end of a long line. */
static void forget_searched(struct file_search_state *state)
{
    struct line *line = &state->line;
    size_t from = line->begin;

    if (line->is_done)
        from = line->at;
    else if (from == 0 && state->size == BUFFER_SIZE)
        from = line->at > KEPT ? line->at - KEPT : 0;
    if (from == 0)
        return;
    line->is_cut |= from > line->begin;
    memmove(state->buffer, state->buffer + from, state->size - from);
    state->size -= from;
    line->at -= from;
    line->begin = 0;
}

/* False when the file is over for another reason than its end. */
static bool read_on(struct file_search_state *state)
{
    ssize_t got;

    forget_searched(state);
    got = read(state->fd, state->buffer + state->size, BUFFER_SIZE - state->size);
    if (got < 0) {
        state->found.unread++;
        return false;
    }
    if (memchr(state->buffer + state->size, '\0', (size_t)got)) {
        state->found.binary++;
        return false;
    }
    state->has_end = got == 0;
    state->size += (size_t)got;
    return true;
}

/* Whether the line ends in the buffer, and where. */
static bool find_end(const struct file_search_state *state, size_t *ret_end)
{
    const struct line *line = &state->line;
    const uint8_t *newline = memchr(state->buffer + line->at, '\n', state->size - line->at);

    *ret_end = newline ? (size_t)(newline - state->buffer) : state->size;
    return newline || state->has_end;
}

/* Searches in the line up to `end`. False when the work is used up before. */
static bool search_line(struct file_search_state *state, size_t end, size_t *inout_work)
{
    struct line *line = &state->line;

    while (line->at < end && !state->search.matched && *inout_work > 0)
        line->at += pattern_search(&state->search, &state->pattern, state->buffer + line->at,
                                   end - line->at, inout_work);
    return line->at == end || state->search.matched;
}

/* Passes over the rest of a line up to `end`, which was read all the same. */
static void pass_over(struct line *line, size_t end, size_t *inout_work)
{
    size_t passed = end - line->at;

    line->at = end;
    *inout_work -= passed < *inout_work ? passed : *inout_work;
}

/* Goes on in the file until it is over, the work is used up or a match was told. */
static void search_file(struct file_search_state *state, struct outbox *outbox)
{
    size_t work = WORK_A_STEP;

    while (work > 0) {
        size_t end;
        bool ends = find_end(state, &end);
        struct line *line = &state->line;
        bool matched = false;

        if (!line->is_done && !search_line(state, end, &work))
            return;
        /* What stands behind the last newline is a line only if it is something. */
        if (!line->is_done && (end < state->size || end > line->begin || line->is_cut))
            matched =
                state->search.matched || (ends && pattern_end(&state->search, &state->pattern));
        /* What of the line was not read yet is a part of it, as far as there is room. */
        if (matched && !ends && state->size - line->begin < BUFFER_SIZE) {
            if (read_on(state))
                continue;
            tell_line(state, outbox, state->size, true);
            end_file(state);
            return;
        }
        if (matched) {
            tell_line(state, outbox, end, !ends);
            line->is_done = true;
        }
        if (line->is_done)
            pass_over(line, end, &work);
        work -= work > 0;
        if (ends && end < state->size)
            begin_line(state, end + 1);
        else if (ends || !read_on(state)) {
            end_file(state);
            return;
        }
        if (matched)
            return;
    }
}

/* --- the walk */

static bool is_wanted(const struct file_search_state *state, const char *name)
{
    int flags = state->flags & AGENT_SEARCH_IGNORE_CASE ? FNM_CASEFOLD : 0;

    return state->glob[0] == '\0' || fnmatch(state->glob, name, flags) == 0;
}

static void on_wanted(struct file_search_state *state, struct outbox *outbox, int folder,
                      const char *name, const struct stat *status)
{
    const struct agent_match_message match = {
        .type = type_of(status->st_mode), .path = state->path, .text = ""};

    if (!(state->flags & AGENT_SEARCH_CONTENT))
        tell(state, outbox, &match);
    else if (S_ISREG(status->st_mode) && begin_file(state, folder, name) != 0)
        state->found.unread++;
}

/* Takes one entry; the walk is over when there is none. */
static void walk_on(struct file_search_state *state, struct outbox *outbox)
{
    int folder = file_walk_top(&state->walk)->fd;
    char name[NAME_MAX + 1];
    const char *entry;
    struct stat status;

    if (file_walk_next(&state->walk, &entry) != 0 || !entry) {
        file_walk_leave(&state->walk);
        state->is_over = state->walk.depth == 0;
        return;
    }
    (void)text_copy(name, sizeof(name), entry); /* going down forgets it */
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return; /* gone again */
    if (!file_walk_path(&state->walk, name, state->path, sizeof(state->path))) {
        state->found.unread++;
        return;
    }
    if (is_wanted(state, name))
        on_wanted(state, outbox, folder, name, &status);
    if (S_ISDIR(status.st_mode) && !state->is_over) {
        int errnum = file_walk_enter(&state->walk, folder, name);

        state->found.unread += errnum == EACCES || errnum == EMLINK;
    }
}

static void work(struct file_search_state *state, struct outbox *outbox)
{
    if (state->fd >= 0) {
        search_file(state, outbox);
        return;
    }
    if (state->walk.depth == 0) { /* it was one file */
        state->is_over = true;
        return;
    }
    for (unsigned i = 0; i < ENTRIES_A_STEP && state->fd < 0 && !state->is_over; i++) {
        size_t room;

        if (!outbox_space(outbox, AGENT_MATCH_MAX, &room))
            return;
        walk_on(state, outbox);
    }
}

/* --- the operation */

static int open_root(struct file_search_state *state, const char *path)
{
    int fd = file_path_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);

    if (fd >= 0) {
        file_walk_begin(&state->walk, fd);
        return 0;
    }
    if (errno != ENOTDIR || !(state->flags & AGENT_SEARCH_CONTENT))
        return errno;
    return begin_file(state, AT_FDCWD, path);
}

static int begin_as_user(struct file_search_state *state, const char *path,
                         enum agent_stage *ret_stage)
{
    int errnum = account_enter(&state->account);

    *ret_stage = AGENT_STAGE_IDENTITY;
    if (errnum != 0)
        return errnum;
    *ret_stage = AGENT_STAGE_FILE;
    errnum = open_root(state, path);
    account_leave(&state->account);
    return errnum;
}

static int begin(struct file_search_state *state, const struct agent_search_message *message,
                 enum agent_stage *ret_stage)
{
    const struct pattern_options options = {
        .regex = message->flags & AGENT_SEARCH_REGEX,
        .ignore_case = message->flags & AGENT_SEARCH_IGNORE_CASE,
    };
    int errnum = account_resolve(message->user, &state->account);

    state->fd = -1;
    state->flags = message->flags;
    state->limit = message->limit;
    state->deadline_usec = clock_usec() + message->timeout_ms * INT64_C(1000);
    *ret_stage = AGENT_STAGE_USER;
    if (errnum != 0)
        return errnum;
    *ret_stage = AGENT_STAGE_REQUEST;
    if (!text_copy(state->glob, sizeof(state->glob), message->name) ||
        (message->flags & AGENT_SEARCH_CONTENT &&
         pattern_compile(&state->pattern, message->content, &options)))
        return EINVAL;
    return begin_as_user(state, message->path, ret_stage);
}

static void state_free(struct file_search_state *state)
{
    end_file(state);
    file_walk_end(&state->walk);
    (void)munmap(state, sizeof(*state));
}

bool file_search_begin(struct file_search *search, const struct agent_search_message *message,
                       struct agent_error_message *ret_error)
{
    struct file_search_state *state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    enum agent_stage stage = AGENT_STAGE_FILE;
    int errnum = state == MAP_FAILED ? ENOMEM : begin(state, message, &stage);

    if (errnum != 0) {
        if (state != MAP_FAILED)
            state_free(state);
        return agent_failed(ret_error, stage, errnum);
    }
    search->state = state;
    return true;
}

static void tell_end(struct file_search_state *state, struct outbox *outbox)
{
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_FOUND, agent_found_encode(&state->found, space, size));
}

enum file_search_step file_search_pump(struct file_search *search, struct outbox *outbox)
{
    struct file_search_state *state = search->state;
    size_t room;

    if (!state || !outbox_space(outbox, AGENT_MATCH_MAX, &room))
        return FILE_SEARCH_WAITS;
    if (!state->is_over && clock_usec() >= state->deadline_usec) {
        state->found.flags |= AGENT_FOUND_TIME;
        state->is_over = true;
    }
    if (state->is_over) {
        tell_end(state, outbox);
        file_search_abort(search);
        return FILE_SEARCH_DONE;
    }
    if (account_enter(&state->account) != 0) {
        state->found.unread++;
        state->is_over = true;
        return FILE_SEARCH_MOVED;
    }
    work(state, outbox);
    account_leave(&state->account);
    return FILE_SEARCH_MOVED;
}

void file_search_abort(struct file_search *search)
{
    if (!search->state)
        return;
    state_free(search->state);
    search->state = NULL;
}
