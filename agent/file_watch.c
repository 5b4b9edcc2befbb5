#include "agent/file_watch.h"

#include "agent/account.h"
#include "agent/clock.h"
#include "agent/failure.h"
#include "agent/file_path.h"
#include "agent/file_walk.h"
#include "agent/poller.h"
#include "agent/text.h"
#include "agent/watch_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EVENTS_SIZE = 16 * 1024,
    MOVES_MAX = 8,         /* first halves of moves that are kept */
    MOVE_USEC = 10 * 1000, /* so long */
    ENTRIES_A_STEP = 128,  /* of a walk */
    EVENTS_A_STEP = 64,    /* of what has changed */
    FRAMES_AN_EVENT = 2,   /* that one event or entry may become */
    ROOT = 1,              /* the number of the watched folder itself */
};

/* What each folder is watched for, and the watched one itself. */
static const uint32_t wanted = IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM |
                               IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK;
static const uint32_t wanted_of_root = IN_DELETE_SELF | IN_MOVE_SELF;

/* The first half of a move. */
struct half_move {
    bool used;
    bool is_folder;
    uint32_t cookie;
    uint32_t parent; /* where it was */
    int wd;          /* of the folder that moves, or -1 */
    int64_t deadline_usec;
    uint32_t reads; /* how often events had been read when it came */
    char name[NAME_MAX + 1];
    char path[AGENT_PATH_MAX];
};

struct file_watch_state {
    int fd; /* inotify */
    uint32_t peer;
    bool readable;
    bool recursive;
    bool lost;           /* the kernel's queue was full: all is watched anew */
    bool gone;           /* the watched folder is */
    bool told_unwatched; /* of this walk */
    enum { WATCH_WALKING, WATCH_SCANNING, WATCH_READING } phase;
    dev_t device; /* of the watched folder, by which it is known */
    ino_t inode;
    struct account account;
    char root[AGENT_PATH_MAX];
    uint32_t reads; /* how often events were read */
    struct half_move moves[MOVES_MAX];
    uint32_t levels[AGENT_TREE_DEPTH_MAX]; /* the walk's, as folders */
    struct file_walk walk;
    size_t at; /* of the next of the events */
    size_t size;
    _Alignas(struct inotify_event) char events[EVENTS_SIZE];
    struct watch_tree tree;
};

static unsigned watch_count;

/* --- telling */

static bool has_room(struct outbox *outbox)
{
    size_t room;

    return outbox_space(outbox, (size_t)FRAMES_AN_EVENT * (AGENT_HEADER_SIZE + AGENT_CHANGE_MAX),
                        &room);
}

static void tell(struct outbox *outbox, enum agent_change_kind kind, uint32_t flags,
                 const char *path, const char *target)
{
    const struct agent_change_message message = {
        .kind = kind, .flags = flags, .path = path, .target = target};
    size_t size;
    uint8_t *space = outbox_space(outbox, AGENT_CHANGE_MAX, &size);

    outbox_commit(outbox, AGENT_FRAME_CHANGE, agent_change_encode(&message, space, size));
}

static uint32_t folder_flag(bool is_folder)
{
    return is_folder ? AGENT_CHANGE_FOLDER : 0;
}

/* The same for `name` in a folder, or the folder itself. */
static void tell_of(struct file_watch_state *state, struct outbox *outbox,
                    enum agent_change_kind kind, bool is_folder, uint32_t folder, const char *name)
{
    char path[AGENT_PATH_MAX];

    if (watch_tree_path(&state->tree, folder, name, path, sizeof(path)))
        tell(outbox, kind, folder_flag(is_folder), path, "");
    else /* too long to be named */
        tell(outbox, AGENT_CHANGE_OVERFLOW, 0, "", "");
}

/* A folder that a bound keeps from being watched. */
static void tell_unwatched(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                           const char *name)
{
    char path[AGENT_PATH_MAX];

    if (!watch_tree_path(&state->tree, parent, name, path, sizeof(path)))
        path[0] = '\0';
    tell(outbox, AGENT_CHANGE_OVERFLOW, AGENT_CHANGE_FOLDER | AGENT_CHANGE_UNWATCHED, path, "");
}

/* --- watching a folder */

/* An opened folder is named by the agent's own /proc: inotify has no call for a descriptor. */
static int add_watch(const struct file_watch_state *state, int folder_fd, uint32_t mask)
{
    char path[FILE_DESCRIPTOR_PATH_MAX];

    file_path_of_descriptor(folder_fd, path);
    return inotify_add_watch(state->fd, path, mask);
}

/* True for what a bound forbids, of the agent or of the kernel. */
static bool is_bound(int errnum)
{
    return errnum == ENOSPC || errnum == ENOMEM || errnum == EMLINK;
}

/*
 * Watches an opened folder, which is `name` in `parent` now, and returns its number. 0 when it is
 * not watched: because of a bound, which is told, or because the user may not.
 */
static uint32_t follow(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                       const char *name, int folder_fd)
{
    int wd = add_watch(state, folder_fd, wanted);
    bool bound = wd < 0 && is_bound(errno);
    uint32_t folder = wd < 0 ? 0 : watch_tree_find(&state->tree, wd);

    if (folder != 0) {
        watch_tree_move(&state->tree, folder, parent, name);
        return folder;
    }
    if (wd >= 0) {
        folder = watch_tree_add(&state->tree, wd, parent, name);
        bound = folder == 0;
        if (bound)
            (void)inotify_rm_watch(state->fd, wd);
    }
    if (bound && (state->phase != WATCH_WALKING || !state->told_unwatched)) {
        state->told_unwatched = true;
        tell_unwatched(state, outbox, parent, name);
    }
    return folder;
}

/* Nothing at or below the folder is watched any more. The kernel may have forgotten some. */
static void forget(struct file_watch_state *state, uint32_t folder)
{
    for (;;) {
        uint32_t leaf = watch_tree_leaf(&state->tree, folder);

        (void)inotify_rm_watch(state->fd, state->tree.folders[leaf].wd);
        watch_tree_remove(&state->tree, leaf);
        if (leaf == folder)
            return;
    }
}

/* Opens the watched folder again; ESTALE when another has taken its place. */
static int open_root(const struct file_watch_state *state)
{
    int fd = file_path_open(AT_FDCWD, state->root, O_RDONLY | O_DIRECTORY);
    struct stat status;

    if (fd < 0 || (fstat(fd, &status) == 0 && status.st_dev == state->device &&
                   status.st_ino == state->inode))
        return fd;
    close(fd);
    errno = ESTALE;
    return -1;
}

/* --- walks: the folder and what is below it is watched; what is found in a new one is told */

static void begin_walk(struct file_watch_state *state, int fd, uint32_t folder)
{
    state->walk.depth = 0;
    file_walk_begin(&state->walk, fd);
    state->levels[0] = folder;
}

static bool is_folder_at(int folder_fd, const char *name)
{
    struct stat status;

    return fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* Goes into the entry if it is a folder of the same mount that the user may read. */
static void enter_folder(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                         const char *name)
{
    int fd = file_walk_top(&state->walk)->fd;
    int errnum = file_walk_enter(&state->walk, fd, name);
    uint32_t folder;

    if (errnum == EMLINK && is_folder_at(fd, name))
        tell_unwatched(state, outbox, parent, name);
    if (errnum != 0)
        return;
    folder = follow(state, outbox, parent, name, file_walk_top(&state->walk)->fd);
    if (folder == 0)
        file_walk_leave(&state->walk);
    else
        state->levels[state->walk.depth - 1] = folder;
}

/* Takes the next entry. False when the walk is over. */
static bool walk_on(struct file_watch_state *state, struct outbox *outbox)
{
    uint32_t parent = state->levels[state->walk.depth - 1];
    int fd = file_walk_top(&state->walk)->fd;
    const char *name;
    char copy[NAME_MAX + 1];

    if (file_walk_next(&state->walk, &name) != 0)
        name = NULL; /* it cannot be read on: what it has is told by events alone */
    if (!name) {
        file_walk_leave(&state->walk);
        return state->walk.depth > 0;
    }
    (void)text_copy(copy, sizeof(copy), name); /* going down forgets it */
    if (file_path_is_temporary(copy))
        return true;
    if (state->phase == WATCH_SCANNING)
        tell_of(state, outbox, AGENT_CHANGE_CREATE, is_folder_at(fd, copy), parent, copy);
    enter_folder(state, outbox, parent, copy);
    return true;
}

static void walk_step(struct file_watch_state *state, struct outbox *outbox)
{
    for (unsigned i = 0; i < ENTRIES_A_STEP && has_room(outbox); i++) {
        if (state->walk.depth > 0 && walk_on(state, outbox))
            continue;
        if (state->phase == WATCH_WALKING)
            tell(outbox, state->lost ? AGENT_CHANGE_OVERFLOW : AGENT_CHANGE_READY,
                 AGENT_CHANGE_FOLDER, "", "");
        state->phase = WATCH_READING;
        return;
    }
}

/* A folder has come to `name` in `parent`, with all that it has by now. */
static void scan(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                 const char *name)
{
    char path[AGENT_PATH_MAX];
    uint32_t folder = 0;
    int root, fd = -1;

    if (!state->recursive)
        return;
    if (!watch_tree_path(&state->tree, parent, name, path, sizeof(path))) {
        tell_unwatched(state, outbox, parent, name);
        return;
    }
    root = open_root(state);
    if (root >= 0)
        fd = file_path_below(root, path);
    file_path_close(&root);
    if (fd >= 0)
        folder = follow(state, outbox, parent, name, fd);
    if (folder == 0) { /* gone again, another mount, or not to be read */
        file_path_close(&fd);
        return;
    }
    begin_walk(state, fd, folder);
    state->phase = WATCH_SCANNING;
}

/* --- moves */

/* A folder or file that has left: for the reader it was deleted. */
static void give_up(struct file_watch_state *state, struct outbox *outbox, struct half_move *move)
{
    uint32_t folder = move->wd < 0 ? 0 : watch_tree_find(&state->tree, move->wd);

    tell(outbox, AGENT_CHANGE_DELETE, folder_flag(move->is_folder), move->path, "");
    if (folder != 0)
        forget(state, folder);
    move->used = false;
}

static struct half_move *oldest_move(struct file_watch_state *state)
{
    struct half_move *oldest = NULL;

    for (unsigned i = 0; i < MOVES_MAX; i++) {
        struct half_move *move = &state->moves[i];

        if (move->used && (!oldest || move->deadline_usec < oldest->deadline_usec))
            oldest = move;
    }
    return oldest;
}

static struct half_move *find_move(struct file_watch_state *state, uint32_t cookie)
{
    for (unsigned i = 0; i < MOVES_MAX; i++)
        if (state->moves[i].used && state->moves[i].cookie == cookie)
            return &state->moves[i];
    return NULL;
}

static struct half_move *free_move(struct file_watch_state *state)
{
    for (unsigned i = 0; i < MOVES_MAX; i++)
        if (!state->moves[i].used)
            return &state->moves[i];
    return NULL;
}

static void begin_move(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                       const struct inotify_event *event)
{
    struct half_move *move = free_move(state);
    uint32_t folder = watch_tree_child(&state->tree, parent, event->name);

    if (!watch_tree_path(&state->tree, parent, event->name, move->path, sizeof(move->path))) {
        tell(outbox, AGENT_CHANGE_OVERFLOW, 0, "", "");
        return;
    }
    move->used = true;
    move->is_folder = event->mask & IN_ISDIR;
    move->cookie = event->cookie;
    move->parent = parent;
    move->wd = move->is_folder && folder != 0 ? state->tree.folders[folder].wd : -1;
    move->deadline_usec = clock_usec() + MOVE_USEC;
    move->reads = state->reads;
    (void)text_copy(move->name, sizeof(move->name), event->name);
}

static void end_move(struct file_watch_state *state, struct outbox *outbox, struct half_move *move,
                     uint32_t parent, const char *name)
{
    uint32_t folder = move->wd < 0 ? 0 : watch_tree_find(&state->tree, move->wd);
    char path[AGENT_PATH_MAX];

    if (watch_tree_path(&state->tree, parent, name, path, sizeof(path)))
        tell(outbox, AGENT_CHANGE_MOVE, folder_flag(move->is_folder), move->path, path);
    else
        tell(outbox, AGENT_CHANGE_OVERFLOW, 0, "", "");
    move->used = false;
    if (folder != 0)
        watch_tree_move(&state->tree, folder, parent, name);
    else if (move->is_folder)
        scan(state, outbox, parent, name);
}

/* What comes without its first half is new. */
static void on_moved_to(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                        const struct inotify_event *event)
{
    struct half_move *move = find_move(state, event->cookie);
    bool is_folder = event->mask & IN_ISDIR;

    if (move) {
        end_move(state, outbox, move, parent, event->name);
        return;
    }
    tell_of(state, outbox, AGENT_CHANGE_CREATE, is_folder, parent, event->name);
    if (is_folder)
        scan(state, outbox, parent, event->name);
}

/*
 * The first half of a move that must be given up before the event can be told, or NULL. Nothing
 * comes between the two halves that concerns the same name: the kernel holds both folders.
 */
static struct half_move *move_before(struct file_watch_state *state,
                                     const struct inotify_event *event)
{
    uint32_t parent = watch_tree_find(&state->tree, event->wd);

    if (find_move(state, event->cookie))
        return NULL;
    if (event->mask & IN_Q_OVERFLOW || (event->mask & IN_DELETE && event->mask & IN_ISDIR) ||
        (event->mask & IN_MOVED_FROM && !free_move(state)))
        return oldest_move(state);
    for (unsigned i = 0; i < MOVES_MAX; i++) {
        struct half_move *move = &state->moves[i];

        if (move->used && event->len > 0 && move->parent == parent &&
            strcmp(move->name, event->name) == 0)
            return move;
    }
    return NULL;
}

/* --- events */

static void on_delete(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                      const struct inotify_event *event)
{
    bool is_folder = event->mask & IN_ISDIR;
    uint32_t folder = is_folder ? watch_tree_child(&state->tree, parent, event->name) : 0;

    tell_of(state, outbox, AGENT_CHANGE_DELETE, is_folder, parent, event->name);
    if (folder != 0)
        forget(state, folder);
}

/* Of an entry of a folder. */
static void on_entry(struct file_watch_state *state, struct outbox *outbox, uint32_t parent,
                     const struct inotify_event *event)
{
    bool is_folder = event->mask & IN_ISDIR;

    if (event->mask & IN_CREATE) {
        tell_of(state, outbox, AGENT_CHANGE_CREATE, is_folder, parent, event->name);
        if (is_folder)
            scan(state, outbox, parent, event->name);
    } else if (event->mask & IN_DELETE) {
        on_delete(state, outbox, parent, event);
    } else if (event->mask & IN_MODIFY) {
        tell_of(state, outbox, AGENT_CHANGE_MODIFY, is_folder, parent, event->name);
    } else if (event->mask & IN_ATTRIB) {
        tell_of(state, outbox, AGENT_CHANGE_ATTRIB, is_folder, parent, event->name);
    } else if (event->mask & IN_MOVED_FROM) {
        begin_move(state, outbox, parent, event);
    } else if (event->mask & IN_MOVED_TO) {
        on_moved_to(state, outbox, parent, event);
    }
}

/*
 * Of a name that the agent itself gives for a while: it is no file to anybody else. What is renamed
 * to its place is new there, because its first half is not kept; what becomes one has left.
 */
static void on_temporary(struct file_watch_state *state, struct outbox *outbox,
                         const struct inotify_event *event)
{
    struct half_move *move = event->mask & IN_MOVED_TO ? find_move(state, event->cookie) : NULL;

    if (move)
        give_up(state, outbox, move);
}

/* Of a watched folder itself; what its parent tells too is left to it. */
static void on_folder(struct file_watch_state *state, struct outbox *outbox, uint32_t folder,
                      const struct inotify_event *event)
{
    bool ends = event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED);

    if (folder == ROOT && ends) {
        tell(outbox, AGENT_CHANGE_DELETE, AGENT_CHANGE_FOLDER, "", "");
        state->gone = true;
    } else if (folder == ROOT && event->mask & IN_ATTRIB) {
        tell(outbox, AGENT_CHANGE_ATTRIB, AGENT_CHANGE_FOLDER, "", "");
    } else if (event->mask & IN_IGNORED) {
        forget(state, folder);
    }
}

static int open_inotify(struct file_watch_state *state)
{
    state->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (state->fd < 0)
        return errno;
    return poller_add(state->fd, POLLER_WATCH, state->peer, EPOLLIN | EPOLLET);
}

static void close_inotify(struct file_watch_state *state)
{
    if (state->fd >= 0)
        poller_remove(state->fd);
    file_path_close(&state->fd);
}

/* Watches the folder itself and begins to walk to those below it. */
static int watch_root(struct file_watch_state *state, int fd)
{
    int wd = add_watch(state, fd, wanted | wanted_of_root);

    if (wd < 0)
        return errno;
    (void)watch_tree_add(&state->tree, wd, 0, "");
    state->phase = WATCH_WALKING;
    state->told_unwatched = false;
    if (state->recursive)
        begin_walk(state, fd, ROOT);
    else
        close(fd);
    return 0;
}

/* Events were lost, of new folders among them: all is watched anew, and then that is told. */
static void watch_anew(struct file_watch_state *state)
{
    int fd;

    close_inotify(state);
    state->at = state->size = 0;
    watch_tree_clear(&state->tree);
    state->lost = true;
    fd = open_inotify(state) == 0 ? open_root(state) : -1;
    state->gone = fd < 0 || watch_root(state, fd) != 0;
    if (state->gone)
        file_path_close(&fd);
}

static void handle(struct file_watch_state *state, struct outbox *outbox,
                   const struct inotify_event *event)
{
    uint32_t folder;

    if (event->mask & IN_Q_OVERFLOW) {
        watch_anew(state);
        return;
    }
    folder = watch_tree_find(&state->tree, event->wd);
    if (folder == 0) /* of what has left */
        return;
    if (event->len == 0)
        on_folder(state, outbox, folder, event);
    else if (file_path_is_temporary(event->name))
        on_temporary(state, outbox, event);
    else
        on_entry(state, outbox, folder, event);
}

static void handle_events(struct file_watch_state *state, struct outbox *outbox)
{
    for (unsigned i = 0; i < EVENTS_A_STEP && state->at < state->size && has_room(outbox) &&
                         state->phase == WATCH_READING && !state->gone;
         i++) {
        const struct inotify_event *event = (const void *)(state->events + state->at);
        struct half_move *move = move_before(state, event);

        if (move) {
            give_up(state, outbox, move);
            continue;
        }
        state->at += sizeof(*event) + event->len;
        handle(state, outbox, event);
    }
}

/* More events from the kernel; false when there are none now. */
static bool read_events(struct file_watch_state *state)
{
    ssize_t got;

    if (!state->readable)
        return false;
    got = read(state->fd, state->events, sizeof(state->events));
    state->at = 0;
    state->size = got > 0 ? (size_t)got : 0;
    state->readable = got > 0;
    state->reads += got > 0;
    return got > 0;
}

/* A first half whose second one does not come: nothing has, or the events that could have been it
 * were read. */
static bool expire_move(struct file_watch_state *state, struct outbox *outbox)
{
    struct half_move *move = oldest_move(state);

    if (!move || move->deadline_usec > clock_usec() ||
        (state->readable && state->reads - move->reads < 2))
        return false;
    give_up(state, outbox, move);
    return true;
}

/* --- the operation */

static void state_free(struct file_watch_state *state)
{
    file_walk_end(&state->walk);
    close_inotify(state);
    (void)munmap(state, sizeof(*state));
    watch_count--;
}

static int open_folder(struct file_watch_state *state)
{
    int fd = file_path_open(AT_FDCWD, state->root, O_RDONLY | O_DIRECTORY);
    struct stat status;
    int errnum;

    if (fd < 0)
        return errno;
    errnum = fstat(fd, &status) < 0 ? errno : 0;
    state->device = status.st_dev;
    state->inode = status.st_ino;
    if (errnum == 0)
        errnum = watch_root(state, fd);
    if (errnum != 0)
        close(fd);
    return errnum;
}

/* With the user's rights from here on. */
static int begin_as_user(struct file_watch_state *state, enum agent_stage *ret_stage)
{
    int errnum = account_enter(&state->account);

    *ret_stage = AGENT_STAGE_IDENTITY;
    if (errnum != 0)
        return errnum;
    *ret_stage = AGENT_STAGE_FILE;
    errnum = open_folder(state);
    account_leave(&state->account);
    if (is_bound(errnum))
        *ret_stage = AGENT_STAGE_WATCH;
    return errnum;
}

static int begin(struct file_watch_state *state, const struct agent_file_message *message,
                 uint32_t peer, enum agent_stage *ret_stage)
{
    int errnum = account_resolve(message->user, &state->account);

    state->fd = -1;
    state->peer = peer;
    state->recursive = message->flags & AGENT_FILE_RECURSIVE;
    *ret_stage = AGENT_STAGE_USER;
    if (errnum != 0)
        return errnum;
    *ret_stage = AGENT_STAGE_FILE;
    if (!text_copy(state->root, sizeof(state->root), message->path))
        return ENAMETOOLONG;
    *ret_stage = AGENT_STAGE_WATCH;
    errnum = open_inotify(state);
    return errnum == 0 ? begin_as_user(state, ret_stage) : errnum;
}

static struct file_watch_state *state_new(void)
{
    struct file_watch_state *state;

    if (watch_count == AGENT_WATCHES_MAX)
        return NULL;
    state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (state == MAP_FAILED)
        return NULL;
    watch_count++;
    return state;
}

bool file_watch_begin(struct file_watch *watch, const struct agent_file_message *message,
                      uint32_t peer, struct agent_error_message *ret_error)
{
    struct file_watch_state *state = state_new();
    enum agent_stage stage = AGENT_STAGE_WATCH;
    int errnum = state ? begin(state, message, peer, &stage) : EUSERS;

    if (errnum != 0) {
        if (state)
            state_free(state);
        return agent_failed(ret_error, stage, errnum);
    }
    watch->state = state;
    watch->deadline_usec = INT64_MAX;
    return true;
}

void file_watch_event(struct file_watch *watch)
{
    if (watch->state)
        watch->state->readable = true;
}

static bool work(struct file_watch_state *state, struct outbox *outbox)
{
    if (state->phase != WATCH_READING) {
        walk_step(state, outbox);
        return true;
    }
    if (state->at < state->size) {
        handle_events(state, outbox);
        return true;
    }
    return expire_move(state, outbox) || read_events(state) || expire_move(state, outbox);
}

enum file_watch_step file_watch_pump(struct file_watch *watch, struct outbox *outbox)
{
    struct file_watch_state *state = watch->state;
    const struct half_move *move;
    bool moved;

    if (!state)
        return FILE_WATCH_WAITS;
    if (!has_room(outbox)) { /* until the client reads no time is over */
        watch->deadline_usec = INT64_MAX;
        return FILE_WATCH_WAITS;
    }
    if (state->gone) {
        file_watch_abort(watch);
        return FILE_WATCH_DONE;
    }
    if (account_enter(&state->account) != 0) {
        state->gone = true;
        return FILE_WATCH_MOVED;
    }
    moved = work(state, outbox);
    account_leave(&state->account);
    move = oldest_move(state);
    watch->deadline_usec = move ? move->deadline_usec : INT64_MAX;
    return moved ? FILE_WATCH_MOVED : FILE_WATCH_WAITS;
}

void file_watch_abort(struct file_watch *watch)
{
    if (!watch->state)
        return;
    state_free(watch->state);
    watch->state = NULL;
    watch->deadline_usec = INT64_MAX;
}
