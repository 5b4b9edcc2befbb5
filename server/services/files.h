/*
 * Files of a container that runs, on a caller's behalf (docs/api/files.md): through its agent, with
 * the rights of one of its users. Every function is scoped by the caller's tenant and project.
 *
 * ERR_NOT_FOUND for a container outside of the scope, ERR_CONFLICT for one that does not run; what
 * concerns the file itself has the field "path" or "target", and says only why
 * (lib/runtime/agent_files.h).
 */
#ifndef SERVER_SERVICES_FILES_H
#define SERVER_SERVICES_FILES_H

#include "lib/runtime/agent_archive.h"
#include "lib/runtime/agent_files.h"
#include "server/services/services.h"

enum { FILES_PATH_SIZE = AGENT_PATH_MAX };

/* The absolute path that a caller means. ERR_NOT_POSSIBLE (`field`) when it is too long. */
int files_resolve(const char *field, const char *path, char ret_path[static FILES_PATH_SIZE],
                  struct error *err);

/* MKDIR, REMOVE, MOVE, COPY, CHMOD; the paths are absolute. */
int files_change(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_file_request *request, struct error *err);

/* STAT and FOLDER. The caller frees the list. */
int files_list(struct services *services, const struct caller *caller, const struct id *id,
               const struct agent_file_request *request, struct agent_file_list *ret_list,
               struct error *err);

/* See agent_files_read. */
struct files_bytes {
    struct agent_file_list entry; /* one */
    char *data;
    size_t size;
};
int files_read(struct services *services, const struct caller *caller, const struct id *id,
               const char *user, const char *path, uint64_t offset, size_t limit,
               struct files_bytes *ret_bytes, struct error *err);
void files_bytes_free(struct files_bytes *bytes);

/* See agent_files_download: a file of any size, for as long as something moves. */
int files_download(struct services *services, const struct caller *caller, const struct id *id,
                   const char *user, const char *path, uint64_t offset,
                   const struct agent_sink *sink, struct error *err);

/* See agent_files_upload. */
int files_upload(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_file_upload *upload, const struct agent_source *source,
                 struct agent_file_list *ret_entry, struct error *err);

/* See agent_archive_pack and agent_archive_unpack: for as long as something moves. */
int files_pack(struct services *services, const struct caller *caller, const struct id *id,
               const struct agent_archive_place *place, const char *format,
               const struct agent_archive_sink *sink, struct error *err);
int files_unpack(struct services *services, const struct caller *caller, const struct id *id,
                 const struct agent_archive_place *place, const struct agent_source *source,
                 struct agent_archive_count *ret_count, struct error *err);

/*
 * Writes each of the files, also when another one fails: `results` has an error of the file's own,
 * or one with an empty message. Fails only when that cannot be told for all of them.
 */
int files_write(struct services *services, const struct caller *caller, const struct id *id,
                const struct agent_file_content *contents, size_t count, struct error *results,
                struct error *err);

#endif
