#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int64_t monotonic_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int deadline_left_ms(int64_t deadline_usec)
{
    int64_t left = deadline_usec - monotonic_usec();

    if (left <= 0)
        return 0;
    left = (left + 999) / 1000;
    return left > INT_MAX ? INT_MAX : (int)left;
}

bool parse_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int write_all(int fd, const void *data, size_t size, struct error *err)
{
    const char *next = data;

    while (size > 0) {
        ssize_t written = write(fd, next, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_set_errno(err, errno, "write failed");
        next += written;
        size -= (size_t)written;
    }
    return 0;
}

int read_file(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_size,
              struct error *err)
{
    _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    _cleanup_free_ char *data = NULL;
    struct stat status;
    size_t used = 0;
    size_t capacity;

    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    if (fstat(fd, &status) < 0)
        return error_set_errno(err, errno, "cannot stat %s", path);
    /* Files of /proc and /sys have size 0: grow while reading. */
    capacity =
        status.st_size > 0 && (uint64_t)status.st_size <= max ? (size_t)status.st_size : 4096;
    for (;;) {
        char *larger = realloc(data, capacity + 1);
        ssize_t got;

        if (!larger)
            return error_set_errno(err, ENOMEM, "cannot read %s", path);
        data = larger;
        got = read(fd, data + used, capacity + 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, errno, "cannot read %s", path);
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max)
            return error_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max);
        if (used > capacity)
            capacity = used * 2;
    }
    data[used] = '\0';
    *ret_data = TAKE_PTR(data);
    *ret_size = used;
    return 0;
}

DIR *folder_open(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

    if (fd >= 0 && !folder) {
        int saved = errno;

        (void)close(fd);
        errno = saved;
    }
    return folder;
}

/* The length of the sequence that `lead` starts, with its smallest code point; 0 if it starts none.
 */
static size_t utf8_sequence(unsigned char lead, uint32_t *ret_bits, uint32_t *ret_least)
{
    if (lead >= 0xc2 && lead <= 0xdf) {
        *ret_bits = lead & 0x1fu;
        *ret_least = 0x80;
        return 2;
    }
    if ((lead & 0xf0) == 0xe0) {
        *ret_bits = lead & 0x0fu;
        *ret_least = 0x800;
        return 3;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        *ret_bits = lead & 0x07u;
        *ret_least = 0x10000;
        return 4;
    }
    return 0;
}

bool utf8_valid(const char *data, size_t size)
{
    const unsigned char *next = (const unsigned char *)data;
    const unsigned char *end = next + size;

    while (next < end) {
        uint32_t point = 0, least = 0;
        size_t length;

        if (*next < 0x80) {
            next++;
            continue;
        }
        length = utf8_sequence(*next, &point, &least);
        if (length == 0 || (size_t)(end - next) < length)
            return false;
        for (size_t i = 1; i < length; i++) {
            if ((next[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next[i] & 0x3fu);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
        next += length;
    }
    return true;
}

/* Each character has one byte that continues no other. */
size_t utf8_length(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    return count;
}

bool name_valid(const char *name, size_t max)
{
    size_t length = strnlen(name, max + 1);

    if (length == 0 || length > max || *name == '.' || *name == '_' || *name == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") >= length;
}
