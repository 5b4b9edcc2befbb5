#include "agent/file_path.h"

#include "agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_resolved(int folder, const char *path, int flags, uint64_t resolve)
{
    const struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC),
        .resolve = (uint64_t)RESOLVE_NO_MAGICLINKS | resolve,
    };

    /* The agent's libc has no openat2, nor renameat2. */
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
}

int file_path_open(int folder, const char *path, int flags)
{
    return open_resolved(folder, path, flags, 0);
}

int file_path_enter(int folder, const char *name)
{
    return open_resolved(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_XDEV);
}

int file_path_regular(int folder, const char *name)
{
    return open_resolved(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0);
}

int file_path_below(int folder, const char *path)
{
    return open_resolved(folder, path, O_RDONLY | O_DIRECTORY,
                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

void file_path_of_descriptor(int fd, char path[static FILE_DESCRIPTOR_PATH_MAX])
{
    char digits[16];
    char *digit = digits + sizeof(digits) - 1;

    *digit = '\0';
    for (int rest = fd; rest > 0 || *digit == '\0'; rest /= 10)
        *--digit = (char)('0' + rest % 10);
    (void)text_join(path, FILE_DESCRIPTOR_PATH_MAX,
                    (const char *const[]){"/proc/self/fd/", digit, NULL});
}

int file_path_split(const char *path, int *ret_folder, char name[static NAME_MAX + 1])
{
    char folder[AGENT_PATH_MAX];
    char *slash, *last;
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length >= sizeof(folder))
        return ENAMETOOLONG;
    memcpy(folder, path, length);
    folder[length] = '\0';
    slash = strrchr(folder, '/');
    last = slash + 1;
    if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return EINVAL;
    if (!text_copy(name, NAME_MAX + 1, last))
        return ENAMETOOLONG;
    *last = '\0'; /* "/" stays for the root */
    *ret_folder = file_path_open(AT_FDCWD, folder, O_PATH | O_DIRECTORY);
    return *ret_folder < 0 ? errno : 0;
}

#define TEMPORARY_PREFIX ".atoll-"

bool file_path_is_temporary(const char *name)
{
    return strncmp(name, TEMPORARY_PREFIX, sizeof(TEMPORARY_PREFIX) - 1) == 0;
}

void file_path_temporary(char name[static FILE_TEMPORARY_MAX])
{
    static uint64_t serial;
    static const char digits[] = "0123456789abcdef";
    uint64_t number = ++serial;
    char *end = stpcpy(name, TEMPORARY_PREFIX);

    for (int shift = 60; shift >= 0; shift -= 4)
        *end++ = digits[number >> shift & 0xf];
    *end = '\0';
}

int file_path_rename(int folder, const char *name, int new_folder, const char *new_name,
                     bool replace)
{
    unsigned flags = replace ? 0 : RENAME_NOREPLACE;

    return (int)syscall(SYS_renameat2, folder, name, new_folder, new_name, flags);
}

void file_path_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}
