/*
 * What `atoll-archive`, the program that packs and unpacks inside a sandbox, says by its exit
 * status. It runs with the rights of one of the sandbox's users among the sandbox's own processes,
 * which may disturb it: whatever it says is a claim of the sandbox.
 */
#ifndef ATOLL_ARCHIVE_PROTO_H
#define ATOLL_ARCHIVE_PROTO_H

/* X(symbol, exit status, meaning) */
#define ARCHIVE_STATUSES(X)                                                                        \
    X(ARCHIVE_DONE, 0, "done")                                                                     \
    X(ARCHIVE_USAGE, 2, "the arguments are wrong")                                                 \
    X(ARCHIVE_MALFORMED, 10, "it is no archive of a known kind, or it is damaged")                 \
    X(ARCHIVE_UNSAFE, 11, "an entry may not be unpacked")                                          \
    X(ARCHIVE_TOO_MANY, 12, "there are too many entries")                                          \
    X(ARCHIVE_NOT_FOUND, 13, "a file is missing")                                                  \
    X(ARCHIVE_DENIED, 14, "the user may not")                                                      \
    X(ARCHIVE_CONFLICT, 15, "something else is there, or a file changed while it was read")        \
    X(ARCHIVE_FULL, 16, "the disk is full")                                                        \
    X(ARCHIVE_BROKEN, 17, "something else failed")

enum archive_exit {
#define ARCHIVE_STATUS_ENUM(symbol, value, meaning) symbol = (value),
    ARCHIVE_STATUSES(ARCHIVE_STATUS_ENUM)
#undef ARCHIVE_STATUS_ENUM
};

/* X(symbol, word, media type, end of a file's name): what can be made; all of it can be read */
#define ARCHIVE_FORMATS(X)                                                                         \
    X(ARCHIVE_TAR, "tar", "application/x-tar", ".tar")                                             \
    X(ARCHIVE_TAR_GZ, "tar.gz", "application/gzip", ".tar.gz")                                     \
    X(ARCHIVE_ZIP, "zip", "application/zip", ".zip")

enum {
    ARCHIVE_ENTRIES_MAX = 1000000,
    ARCHIVE_DEPTH_MAX = 128,  /* of folders in each other */
    ARCHIVE_NAME_MAX = 4095,  /* bytes of an entry's name */
    ARCHIVE_REASON_MAX = 511, /* bytes of what it says on stderr */
};

#endif
