/* How a failure is told: a reason on stderr, and the exit status of atoll/archive_proto.h. */
#ifndef ARCHIVE_REPORT_H
#define ARCHIVE_REPORT_H

#include <atoll/archive_proto.h>

struct archive;

/* Ends the program. `name` is the entry or file at fault, "" for none, or for the path that the
 * program was given. */
_Noreturn void report_failure(enum archive_exit status, const char *name, const char *reason);

/* The same for an errno. */
_Noreturn void report_errno(int errnum, const char *name);

/* The same for what libarchive says of itself. */
_Noreturn void report_archive(enum archive_exit status, struct archive *archive, const char *name);

#endif
