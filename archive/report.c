#include "archive/report.h"

#include <archive.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SHOWN = 200 };

_Noreturn void report_failure(enum archive_exit status, const char *name, const char *reason)
{
    (void)fprintf(stderr, "%.*s%s%s", NAME_SHOWN, name, *name ? ": " : "", reason);
    (void)fflush(stderr);
    _Exit((int)status);
}

static enum archive_exit status_of(int errnum)
{
    switch (errnum) {
    case ENOENT:
        return ARCHIVE_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ARCHIVE_DENIED;
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR:
    case ENOTDIR:
    case EBUSY:
        return ARCHIVE_CONFLICT;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ARCHIVE_FULL;
    case ELOOP:
    case ENAMETOOLONG:
    case EXDEV:
        return ARCHIVE_UNSAFE;
    default:
        return ARCHIVE_BROKEN;
    }
}

_Noreturn void report_errno(int errnum, const char *name)
{
    report_failure(status_of(errnum), name, strerror(errnum));
}

_Noreturn void report_archive(enum archive_exit status, struct archive *archive, const char *name)
{
    const char *reason = archive_error_string(archive);
    int errnum = archive_errno(archive);

    if (errnum == ENOSPC || errnum == EDQUOT)
        status = ARCHIVE_FULL;
    report_failure(status, name, reason ? reason : "it cannot be read");
}
