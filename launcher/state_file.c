#include "launcher/state_file.h"

#include "launcher/sys.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { STAT_START_FIELD = 22, STAT_FIELD_AFTER_NAME = 3 };

void state_file_format(const struct sandbox_state_file *state, char text[static STATE_FILE_SIZE])
{
    (void)snprintf(text, STATE_FILE_SIZE, "1 %d %llu %u %lld %s\n", state->pid,
                   (unsigned long long)state->start_ticks, state->slot,
                   (long long)state->created_usec, state->image);
}

bool state_file_parse(const char *text, struct sandbox_state_file *ret_state)
{
    char copy[STATE_FILE_SIZE];
    char *rest = NULL;
    char *words[6];
    uint64_t version, pid, ticks, slot, created;
    size_t size = strnlen(text, sizeof(copy));

    if (size == 0 || size == sizeof(copy) || text[size - 1] != '\n')
        return false;
    memcpy(copy, text, size - 1);
    copy[size - 1] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        words[i] = strtok_r(i == 0 ? copy : NULL, " ", &rest);
        if (!words[i])
            return false;
    }
    if (strtok_r(NULL, " ", &rest) || !parse_u64(words[0], 1, &version) || version != 1 ||
        !parse_u64(words[1], INT32_MAX, &pid) || pid < 2 ||
        !parse_u64(words[2], UINT64_MAX, &ticks) || !parse_u64(words[3], UINT32_MAX, &slot) ||
        !parse_u64(words[4], INT64_MAX, &created) || !name_valid(words[5], LAUNCHER_IMAGE_SIZE - 1))
        return false;
    *ret_state = (struct sandbox_state_file){
        .pid = (pid_t)pid,
        .start_ticks = ticks,
        .slot = (uint32_t)slot,
        .created_usec = (int64_t)created,
    };
    (void)snprintf(ret_state->image, sizeof(ret_state->image), "%s", words[5]);
    return true;
}

int state_file_write(int folder, const struct sandbox_state_file *state)
{
    _cleanup_close_ int fd =
        openat(folder, STATE_FILE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    char text[STATE_FILE_SIZE];
    size_t size;

    if (fd < 0)
        return -1;
    state_file_format(state, text);
    size = strlen(text);
    /* No fsync: after a crash of the host there is nothing to adopt. No rename: what a launcher
     * that died in between has left does not parse, and that child was not let go. */
    if (write(fd, text, size) != (ssize_t)size) {
        errno = errno ? errno : EIO;
        return -1;
    }
    return 0;
}

int state_file_read(int folder, struct sandbox_state_file *ret_state)
{
    char text[STATE_FILE_SIZE];

    if (sys_read_file(folder, STATE_FILE_NAME, text, sizeof(text)) < 0)
        return -1;
    if (!state_file_parse(text, ret_state)) {
        errno = EBADMSG;
        return -1;
    }
    return 0;
}

bool state_file_start_ticks(const char *stat, uint64_t *ret_ticks)
{
    /* The second field is the program's name in parentheses, which may hold anything. */
    const char *next = strrchr(stat, ')');
    char digits[24];
    size_t length;

    for (int field = STAT_FIELD_AFTER_NAME; next && field <= STAT_START_FIELD; field++) {
        next = strchr(next, ' ');
        next = next ? next + 1 : NULL;
    }
    if (!next)
        return false;
    length = strspn(next, "0123456789");
    if (length == 0 || length >= sizeof(digits))
        return false;
    memcpy(digits, next, length);
    digits[length] = '\0';
    return parse_u64(digits, UINT64_MAX, ret_ticks);
}
