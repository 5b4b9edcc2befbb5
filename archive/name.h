/* The names of an archive's entries, which anybody may have written. */
#ifndef ARCHIVE_NAME_H
#define ARCHIVE_NAME_H

#include <atoll/archive_proto.h>

/*
 * Makes "a/b" of "./a//b/": the names below the folder that is unpacked into, "" for the folder
 * itself. Returns NULL, or why the name is refused: it is absolute, has `..`, is too long or too
 * deep. The kernel judges the rest.
 */
const char *name_clean(const char *name, char clean[static ARCHIVE_NAME_MAX + 1]);

#endif
