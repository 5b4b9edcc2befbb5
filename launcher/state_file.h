/*
 * The file `state` in a sandbox's run folder: what a restarted launcher needs to adopt it. One
 * line of text: version, pid, start time (clock ticks after boot, proc(5)), slot, creation
 * (monotonic microseconds), image.
 */
#ifndef LAUNCHER_STATE_FILE_H
#define LAUNCHER_STATE_FILE_H

#include <atoll/launcher_proto.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STATE_FILE_NAME "state"

enum { STATE_FILE_SIZE = 256 };

struct sandbox_state_file {
    pid_t pid;
    uint64_t start_ticks;
    uint32_t slot;
    int64_t created_usec;
    char image[LAUNCHER_IMAGE_SIZE];
};

/* Pure: the text of the file, and back. Parsing is strict: false for anything else. */
void state_file_format(const struct sandbox_state_file *state, char text[static STATE_FILE_SIZE]);
bool state_file_parse(const char *text, struct sandbox_state_file *ret_state);

/* Makes the file, which must not be there: EEXIST. -1 and errno. */
int state_file_write(int folder, const struct sandbox_state_file *state);

/* -1 and errno; EBADMSG when the text is not of this form. */
int state_file_read(int folder, struct sandbox_state_file *ret_state);

/* The start time in the text of /proc/<pid>/stat; false when it is not one. */
bool state_file_start_ticks(const char *stat, uint64_t *ret_ticks);

#endif
