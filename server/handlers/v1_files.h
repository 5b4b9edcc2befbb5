/*
 * The handlers of /v1/sandboxes/{id}/files (docs/api/files.md), and the tables that their routes
 * are described by.
 */
#ifndef SERVER_HANDLERS_V1_FILES_H
#define SERVER_HANDLERS_V1_FILES_H

#include "server/handlers/v1_file_view.h"

extern const struct json_table v1_file_list_query;
extern const struct json_table v1_file_stat_query;
extern const struct json_table v1_file_exists_query;
extern const struct json_table v1_file_read_query;
extern const struct json_table v1_file_write_query;
extern const struct json_table v1_file_pack_query;
extern const struct json_table v1_file_unpack_query;
extern const struct json_table v1_file_unpack_table;
extern const struct json_table v1_file_watch_query;
extern const struct json_table v1_file_search_query;
extern const struct json_table v1_file_found_table;
extern const struct json_table v1_file_exists_table;
extern const struct json_table v1_file_batch_table;
extern const struct json_table v1_file_batch_result_table;
extern const struct json_table v1_file_mkdir_table;
extern const struct json_table v1_file_remove_table;
extern const struct json_table v1_file_move_table;
extern const struct json_table v1_file_copy_table;
extern const struct json_table v1_file_chmod_table;

int handle_v1_file_list(struct call *call, struct error *err);
int handle_v1_file_stat(struct call *call, struct error *err);
int handle_v1_file_exists(struct call *call, struct error *err);
int handle_v1_file_search(struct call *call, struct error *err);
int handle_v1_file_watch(struct call *call, struct error *err);
int handle_v1_file_read(struct call *call, struct error *err);
int handle_v1_file_write(struct call *call, struct error *err);

int handle_v1_file_pack(struct call *call, struct error *err);
int handle_v1_file_unpack(struct call *call, struct error *err);

int handle_v1_file_batch(struct call *call, struct error *err);
int handle_v1_file_mkdir(struct call *call, struct error *err);
int handle_v1_file_remove(struct call *call, struct error *err);
int handle_v1_file_move(struct call *call, struct error *err);
int handle_v1_file_copy(struct call *call, struct error *err);
int handle_v1_file_chmod(struct call *call, struct error *err);

#endif
