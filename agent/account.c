#include "agent/account.h"

#include "agent/text.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A larger file than this is not a user database. */
enum { DATABASE_MAX = 1024 * 1024, LINE_MAX_SIZE = 4096 };

struct lines {
    int fd;
    size_t start;
    size_t end;
    size_t total;
    char data[LINE_MAX_SIZE];
};

/* Digits only, at most 2^31 - 1. */
static bool parse_id(const char *text, uint32_t *ret_id)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > INT32_MAX)
            return false;
    }
    *ret_id = (uint32_t)value;
    return true;
}

/* The next field up to `separator`; NULL when there is none left. */
static char *take_field(char **rest, char separator)
{
    char *field = *rest;
    char *end;

    if (!field)
        return NULL;
    end = strchr(field, separator);
    if (end)
        *end++ = '\0';
    *rest = end;
    return field;
}

static int lines_open(struct lines *lines, const char *path)
{
    struct stat status;

    lines->start = lines->end = lines->total = 0;
    lines->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (lines->fd < 0)
        return errno;
    if (fstat(lines->fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(lines->fd);
        return EINVAL;
    }
    return 0;
}

/* Reads more behind what is left; false at the end. A line longer than the window is cut in two,
 * of which neither parses as what it is not: fields of a database are checked by the caller. */
static bool lines_refill(struct lines *lines)
{
    ssize_t got;

    memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
    lines->end -= lines->start;
    lines->start = 0;
    if (lines->end == sizeof(lines->data))
        lines->end = 0;
    if (lines->total >= DATABASE_MAX)
        return false;
    got = read(lines->fd, lines->data + lines->end, sizeof(lines->data) - lines->end);
    if (got <= 0)
        return false;
    lines->end += (size_t)got;
    lines->total += (size_t)got;
    return true;
}

/* The next line that ends in a newline, without it; NULL at the end. */
static char *lines_next(struct lines *lines)
{
    for (;;) {
        char *line = lines->data + lines->start;
        char *newline = memchr(line, '\n', lines->end - lines->start);

        if (newline) {
            *newline = '\0';
            lines->start = (size_t)(newline + 1 - lines->data);
            return line;
        }
        if (!lines_refill(lines))
            return NULL;
    }
}

/* name:password:uid:gid:gecos:home:shell (passwd(5)) */
static bool match_passwd(char *line, struct account *account)
{
    const char *name = take_field(&line, ':');
    const char *uid, *gid, *home;

    if (!name || strcmp(name, account->name) != 0)
        return false;
    (void)take_field(&line, ':');
    uid = take_field(&line, ':');
    gid = take_field(&line, ':');
    (void)take_field(&line, ':');
    home = take_field(&line, ':');
    return home && parse_id(uid, &account->uid) && parse_id(gid, &account->gid) &&
           text_copy(account->home, sizeof(account->home), home);
}

/* name:password:gid:member,member (group(5)) */
static void match_group(char *line, struct account *account)
{
    const char *gid, *member;
    gid_t group;

    (void)take_field(&line, ':');
    (void)take_field(&line, ':');
    gid = take_field(&line, ':');
    if (!gid || !parse_id(gid, &group) || account->group_count == ACCOUNT_GROUPS_MAX)
        return;
    while ((member = take_field(&line, ','))) {
        if (strcmp(member, account->name) == 0) {
            account->groups[account->group_count++] = group;
            return;
        }
    }
}

static int resolve_name(struct account *account)
{
    struct lines lines;
    char *line;
    bool found = false;
    int errnum = lines_open(&lines, "/etc/passwd");

    if (errnum != 0)
        return errnum;
    while (!found && (line = lines_next(&lines)))
        found = match_passwd(line, account);
    close(lines.fd);
    if (!found)
        return ENOENT;
    if (lines_open(&lines, "/etc/group") != 0)
        return 0;
    while ((line = lines_next(&lines)))
        match_group(line, account);
    close(lines.fd);
    return 0;
}

/* True when the line's third field is the id; its name is then taken, if it fits. */
static bool match_id(char *line, uint32_t id, char *name, size_t size)
{
    const char *first = take_field(&line, ':');
    const char *digits;
    uint32_t found;

    (void)take_field(&line, ':');
    digits = take_field(&line, ':');
    if (!first || !digits || !parse_id(digits, &found) || found != id)
        return false;
    (void)text_copy(name, size, first);
    return true;
}

void account_find_name(const char *database, uint32_t id, char *name, size_t size)
{
    struct lines lines;
    char *line;

    name[0] = '\0';
    if (lines_open(&lines, database) != 0)
        return;
    while ((line = lines_next(&lines)))
        if (match_id(line, id, name, size))
            break;
    close(lines.fd);
}

static int resolve_ids(const char *user, struct account *account)
{
    char copy[AGENT_USER_MAX];
    char *rest = copy;
    const char *uid, *gid;

    if (!text_copy(copy, sizeof(copy), user))
        return EINVAL;
    uid = take_field(&rest, ':');
    gid = rest;
    if (!gid || !parse_id(uid, &account->uid) || !parse_id(gid, &account->gid))
        return EINVAL;
    return 0;
}

int account_resolve(const char *user, struct account *ret_account)
{
    /* Not zeroed as a whole: the list of groups is long and mostly unused. */
    ret_account->group_count = 0;
    ret_account->name[0] = '\0';
    ret_account->home[0] = '\0';
    if (*user == '\0')
        return EINVAL;
    if (strchr(user, ':'))
        return resolve_ids(user, ret_account);
    if (!text_copy(ret_account->name, sizeof(ret_account->name), user))
        return EINVAL;
    return resolve_name(ret_account);
}

/* Clears the effective capabilities, or makes them all that are permitted. */
static void set_effective(bool all)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].effective = all ? data[i].permitted : 0;
    (void)syscall(SYS_capset, &header, data);
}

int account_enter(const struct account *account)
{
    if (account->uid == 0)
        return 0;
    if (syscall(SYS_setgroups, account->group_count, account->groups) < 0)
        return errno;
    (void)setfsgid(account->gid);
    (void)setfsuid(account->uid);
    set_effective(false);
    /* setfsuid reports no failure: an invalid id makes it tell the present one (setfsuid(2)). */
    if ((uid_t)setfsuid((uid_t)-1) == account->uid && (gid_t)setfsgid((gid_t)-1) == account->gid)
        return 0;
    account_leave(account);
    return EPERM;
}

void account_leave(const struct account *account)
{
    if (account->uid == 0)
        return;
    set_effective(true);
    (void)setfsuid(geteuid());
    (void)setfsgid(getegid());
    (void)syscall(SYS_setgroups, 0, NULL);
}
