/*
 * Archives made and unpacked inside a sandbox, by the program that the launcher hands to each agent
 * (archive/main.c), with the rights of one of the sandbox's users. The host reads no archive.
 *
 * As in agent_files.h: calls block, a client belongs to one thread, and errors of the file's own
 * name the field "path". All that comes back is a claim of the sandbox.
 */
#ifndef LIB_RUNTIME_AGENT_ARCHIVE_H
#define LIB_RUNTIME_AGENT_ARCHIVE_H

#include "lib/runtime/agent_channel.h"
#include "lib/runtime/agent_client.h"

struct agent_archive_place {
    const char *user; /* a name inside the sandbox, or "uid:gid" */
    const char *path; /* absolute */
};

/* Takes a piece of the archive; it may wait, -1 breaks the packing off. */
struct agent_archive_sink {
    int (*piece)(void *context, const void *data, size_t size, struct error *err);
    void *context;
};

/* What was unpacked. */
struct agent_archive_count {
    uint64_t entries;
    uint64_t bytes;
};

/*
 * Packs what is at the place; `format` is a word of ARCHIVE_FORMATS. The agent has to send
 * something at least each `patience_usec`. When it fails, what the sink got is no whole archive.
 */
int agent_archive_pack(struct agent_client *client, const struct agent_archive_place *place,
                       const char *format, const struct agent_archive_sink *sink,
                       int64_t patience_usec, struct error *err);

/*
 * Unpacks what the source gives, a tar, tar.gz or zip, into the folder. When it fails, what was
 * unpacked before stays. ERR_NOT_POSSIBLE: it is no such archive, or an entry is refused;
 * ERR_TOO_LARGE: there are too many.
 */
int agent_archive_unpack(struct agent_client *client, const struct agent_archive_place *place,
                         const struct agent_source *source, int64_t patience_usec,
                         struct agent_archive_count *ret_count, struct error *err);

#endif
