/*
 * The host's side of files (docs/agent-protocol.md): seen, read, written, made, moved, copied and
 * removed inside the sandbox, with the rights of one of its users.
 *
 * As in agent_client.h, calls block until the answer or the deadline, and a client belongs to one
 * thread at a time. Errors of the file's own name the field "path", or "target" where that is at
 * fault: ERR_NOT_FOUND, ERR_PERMISSION, ERR_CONFLICT (something is there, is not empty, is a folder
 * or is none), ERR_PRECONDITION, ERR_INSUFFICIENT_STORAGE, ERR_UNAVAILABLE (the sandbox is short of
 * memory or descriptors), ERR_NOT_POSSIBLE for the rest (too long, a loop of links, no regular
 * file). They say only why: the caller knows what was to be done, and to which file. A user that
 * the sandbox does not have is ERR_NOT_POSSIBLE of the field "user". A list over
 * AGENT_LIST_BYTES_MAX is ERR_NOT_POSSIBLE of the field "limit".
 */
#ifndef LIB_RUNTIME_AGENT_FILES_H
#define LIB_RUNTIME_AGENT_FILES_H

#include "lib/runtime/agent_channel.h"
#include "lib/runtime/agent_client.h"

#include <atoll/agent_proto.h>

/* One of AGENT_FILE_REQUESTS. Borrowed for the call. */
struct agent_file_request {
    enum agent_frame_type type;
    uint32_t flags;     /* AGENT_FILE_* that the type takes */
    uint32_t number;    /* FOLDER: depth from 1; MKDIR, CHMOD: mode */
    uint32_t limit;     /* FOLDER: most entries, 1..AGENT_LIST_MAX */
    const char *user;   /* a name inside the sandbox, or "uid:gid" */
    const char *path;   /* absolute */
    const char *target; /* MOVE, COPY: absolute; else NULL */
    uint64_t skip;      /* FOLDER: entries to leave out first */
};

/* What the sandbox says of a file. */
struct agent_file_entry {
    enum agent_file_type type;
    uint32_t mode; /* at most 07777 */
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t inode;
    int64_t mtime_nsec; /* since the Unix epoch */
    char *owner;        /* "" where the sandbox has no name for the id */
    char *group;
    char *path; /* below the folder that was listed, any bytes but NUL; "" for one file */
    char *link; /* what a link holds; "" for anything else */
};

struct agent_file_list {
    struct agent_file_entry *items;
    size_t count;
};

/* Accepts a zeroed list. */
void agent_file_list_free(struct agent_file_list *list);

/* Sorts the first `count` entries by path, byte by byte. */
void agent_file_list_sort(struct agent_file_list *list, size_t count);

/* MKDIR, REMOVE, MOVE, COPY, CHMOD. */
int agent_files_change(struct agent_client *client, const struct agent_file_request *request,
                       int64_t deadline_usec, struct error *err);

/* STAT (one entry) and FOLDER (at most `limit`, in the folder's order). The caller frees the list.
 */
int agent_files_list(struct agent_client *client, const struct agent_file_request *request,
                     int64_t deadline_usec, struct agent_file_list *ret_list, struct error *err);

/* The bytes that the sandbox's writable layer holds, as it claims; 0 where it has none. */
int agent_files_disk(struct agent_client *client, int64_t deadline_usec, uint64_t *ret_used,
                     struct error *err);

/*
 * What is known of a regular file, and at most `limit` of its bytes from `offset` on, both of the
 * same opened file. `ret_entry` has one item, the caller's to free, as `ret_data` is.
 */
int agent_files_read(struct agent_client *client, const char *user, const char *path,
                     uint64_t offset, size_t limit, int64_t deadline_usec,
                     struct agent_file_list *ret_entry, char **ret_data, size_t *ret_size,
                     struct error *err);

/* Where the bytes of a file go, piece by piece. Each may wait; -1 breaks the reading off. */
struct agent_sink {
    /* First: what is known of the opened file, and how many of its bytes are wanted. */
    int (*begin)(void *context, const struct agent_file_entry *entry, uint64_t *ret_wanted,
                 struct error *err);
    int (*piece)(void *context, const void *data, size_t size, struct error *err);
    void *context;
};

/*
 * As agent_files_read, of a file of any size. The agent has to send something at least each
 * `patience_usec`. Fails without a call of the sink where the file cannot be read. The sink may get
 * fewer bytes than it wanted: the file was cut meanwhile. The client is of no further use.
 */
int agent_files_download(struct agent_client *client, const char *user, const char *path,
                         uint64_t offset, const struct agent_sink *sink, int64_t patience_usec,
                         struct error *err);

/* A file that replaces what is at the path as a whole, or not at all; parents are made. */
struct agent_file_upload {
    const char *user;
    const char *path;
    uint32_t mode;   /* at most 07777 */
    bool keeps_mode; /* a regular file that is there keeps its own; `mode` is a new one's */
    enum {
        AGENT_UPLOAD_ANYWAY,
        AGENT_UPLOAD_ABSENT, /* only if nothing is there; else ERR_PRECONDITION */
        AGENT_UPLOAD_MATCH,  /* only instead of the file that `seen` describes; else the same */
    } condition;
    struct agent_file_entry seen; /* its strings are not used */
};

/* Takes the bytes from the source; `ret_entry` has one item, of the written file. */
int agent_files_upload(struct agent_client *client, const struct agent_file_upload *upload,
                       const struct agent_source *source, int64_t patience_usec,
                       struct agent_file_list *ret_entry, struct error *err);

/* Replaces a file as a whole, or not at all; parents are made. */
struct agent_file_content {
    const char *user;
    const char *path;
    uint32_t mode;   /* at most 07777 */
    bool keeps_mode; /* a regular file that is there keeps its own; `mode` is a new one's */
    const void *data;
    size_t size;
};
int agent_files_write(struct agent_client *client, const struct agent_file_content *content,
                      int64_t deadline_usec, struct error *err);

#endif
