#include "agent/tree.h"

#include "agent/text.h"

#include <atoll/cleanup.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Above what a program could ask for, below RLIM_INFINITY. */
#define MARK_TOP (UINT64_C(1) << 62)

static struct {
    uint64_t top;    /* above every mark */
    uint64_t lowest; /* the last mark given out */
    unsigned active; /* commands that are not over */
    bool children;   /* the agent may have children */
    bool leftovers;  /* a command that is over may have left processes */
} tree;

int tree_init(void)
{
    struct rlimit limit;

    if (getpid() != 1)
        return EPERM;
    if (getrlimit(RLIMIT_RTTIME, &limit) < 0)
        return errno;
    tree.top = limit.rlim_max < MARK_TOP ? limit.rlim_max : MARK_TOP;
    tree.lowest = tree.top;
    return 0;
}

uint64_t tree_begin(void)
{
    tree.active++;
    tree.children = true;
    return --tree.lowest;
}

void tree_end(void)
{
    tree.active--;
    tree.leftovers = tree.children;
}

/*
 * Marks fall, and a process may lower its own to that of a later command. So each has a second one,
 * which rises: a process could come to either of another command's, never to both. The kernel
 * has not looked at RLIMIT_LOCKS since 2.4.25 (getrlimit(2)).
 */
static uint64_t second_mark(uint64_t mark)
{
    return tree.top - mark;
}

int tree_join(uint64_t mark)
{
    const struct rlimit first = {.rlim_cur = mark, .rlim_max = mark};
    const struct rlimit second = {.rlim_cur = second_mark(mark), .rlim_max = second_mark(mark)};

    return setrlimit(RLIMIT_LOCKS, &second) < 0 || setrlimit(RLIMIT_RTTIME, &first) < 0 ? errno : 0;
}

bool tree_empty(void)
{
    return !tree.children;
}

bool tree_idle(void)
{
    return !tree.children && tree.active == 0;
}

void tree_reaped(bool no_children)
{
    tree.children = !no_children;
    if (no_children)
        tree.leftovers = false;
}

/* The text after `label` at a line's start, or NULL. */
static const char *find_line(const char *text, const char *label)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, label, strlen(label)) == 0)
            return line + strlen(label);
    }
    return NULL;
}

/* The second column of "<label>  <soft>  <hard>  <unit>"; UINT64_MAX if unlimited. */
static uint64_t parse_hard_limit(const char *limits, const char *label)
{
    const char *field = find_line(limits, label);
    uint64_t value = 0;

    if (!field)
        return UINT64_MAX;
    field += strspn(field, " ");
    field += strcspn(field, " \n");
    field += strspn(field, " ");
    if (*field < '0' || *field > '9')
        return UINT64_MAX;
    for (; *field >= '0' && *field <= '9'; field++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*field - '0'), &value))
            return UINT64_MAX;
    }
    return value;
}

/* Reads /proc/<pid>/limits; false when the process is gone. */
static bool read_limits(int dir_fd, const char *pid, char *text, size_t size)
{
    char path[64];
    _cleanup_close_ int fd = -1;
    ssize_t got;

    if (!text_join(path, sizeof(path), (const char *const[]){pid, "/limits", NULL}))
        return false;
    fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, text, size - 1);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return true;
}

/*
 * A zombie counts until it is reaped: it may have forked just before, under a pid that the scan had
 * already passed. (A process that is gone was reaped by another member, which is still to be seen.)
 */
static bool is_member(int dir_fd, const char *pid, uint64_t mark)
{
    char text[2048];
    uint64_t hard;

    if (!read_limits(dir_fd, pid, text, sizeof(text)))
        return false;
    hard = parse_hard_limit(text, "Max realtime timeout");
    if (hard == mark || hard < tree.lowest)
        return true;
    return hard < tree.top && parse_hard_limit(text, "Max file locks") != second_mark(hard);
}

static pid_t parse_pid(const char *name)
{
    int pid = 0;

    for (; *name >= '0' && *name <= '9'; name++) {
        if (__builtin_mul_overflow(pid, 10, &pid) || __builtin_add_overflow(pid, *name - '0', &pid))
            return 0;
    }
    return *name == '\0' ? pid : 0;
}

/* Signals the members among one batch of directory entries, and `own`. */
static bool signal_entries(int dir_fd, const char *entries, size_t size, uint64_t mark, pid_t own,
                           int signum)
{
    bool none = true;

    for (size_t offset = 0; offset < size;) {
        const struct dirent64 *entry = (const void *)(entries + offset);
        pid_t pid = parse_pid(entry->d_name);

        offset += entry->d_reclen;
        if (pid <= 1 || (pid != own && !is_member(dir_fd, entry->d_name, mark)))
            continue;
        if (kill(pid, signum) == 0)
            none = false;
    }
    return none;
}

static bool signal_scan(uint64_t mark, pid_t own, int signum)
{
    _cleanup_close_ int dir_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _Alignas(struct dirent64) char entries[4096];
    bool none = true;
    long got;

    if (dir_fd < 0)
        return true;
    while ((got = syscall(SYS_getdents64, dir_fd, entries, sizeof(entries))) > 0)
        none = signal_entries(dir_fd, entries, (size_t)got, mark, own, signum) && none;
    return none;
}

bool tree_signal_all(int signum)
{
    if (!tree.children)
        return true;
    if (kill(-1, signum) == 0)
        return false;
    if (errno == ESRCH)
        tree_reaped(true); /* what could not be made in the end is no child */
    return true;
}

bool tree_signal(uint64_t mark, pid_t pid, int signum)
{
    if (!tree.children)
        return true;
    if (tree.active == 1 && !tree.leftovers)
        return tree_signal_all(signum);
    return signal_scan(mark, pid, signum);
}

bool tree_signal_ended(uint64_t mark, int signum)
{
    return !tree.children || signal_scan(mark, 0, signum);
}
