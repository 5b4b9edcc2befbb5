/*
 * Calls to the launcher (include/atoll/launcher_proto.h). Thread-safe: each call takes a
 * connection from a small pool, or opens one; a connection that failed is dropped, so that the
 * client goes on by itself after a restart of the launcher.
 *
 * Errors: ERR_UNAVAILABLE when the launcher is not there or did not answer in time (what became
 * of the request is unknown then: the caller's sweep decides); ERR_RUNTIME_MISSING when the image
 * is not installed; ERR_NOT_FOUND for a sandbox it does not know; ERR_CONFLICT for one that exists
 * already or whose disk is in use; ERR_TOO_MANY when the host has no more user ids; ERR_INTERNAL
 * for the rest. The message holds the launcher's line for the log.
 */
#ifndef LIB_RUNTIME_LAUNCHER_CLIENT_H
#define LIB_RUNTIME_LAUNCHER_CLIENT_H

#include <atoll/error.h>
#include <atoll/id.h>
#include <atoll/launcher_proto.h>
#include <stddef.h>
#include <stdint.h>

struct agent_client;
struct launcher_client;

/* Room for the path of any agent socket: what a unix socket's address holds. */
enum { LAUNCHER_CLIENT_PATH_SIZE = 108 };

/*
 * A client of the launcher in `run_dir` (copied). Connects with the first call. A call waits
 * `timeout_ms` at most for its whole answer. Free it with launcher_client_free when no call is
 * under way.
 */
int launcher_client_open(const char *run_dir, int timeout_ms, struct launcher_client **ret_client,
                         struct error *err);

/* Accepts NULL. */
void launcher_client_free(struct launcher_client *client);

/*
 * Makes a sandbox from the request's id, generation, limits and image; magic, version and op are
 * filled in here. `ret_timings` may be NULL.
 */
int launcher_client_create(struct launcher_client *client, const struct launcher_request *request,
                           struct launcher_timings *ret_timings, struct error *err);

/*
 * Generation 0 means every generation of the id; the usage is then their sum (peaks: maximum).
 * `ret_usage` may be NULL.
 */
int launcher_client_destroy(struct launcher_client *client, const struct id *id,
                            uint32_t generation, struct launcher_usage *ret_usage,
                            struct error *err);

/*
 * Kills one generation and returns with its counters as of the kill, while the host still takes the
 * rest apart. launcher_client_destroy waits for the end of that: ERR_NOT_FOUND from it then means
 * that it was over before.
 */
int launcher_client_destroy_early(struct launcher_client *client, const struct id *id,
                                  uint32_t generation, struct launcher_usage *ret_usage,
                                  struct error *err);

/* Ends every generation of the id, if there is one, and removes its kept disk, if it has one.
 * ERR_NOT_FOUND when there was neither. */
int launcher_client_destroy_with_disk(struct launcher_client *client, const struct id *id,
                                      struct error *err);

/* Removes the kept disk of a sandbox that does not live; ERR_CONFLICT when it does, ERR_NOT_FOUND
 * when there is no such disk. */
int launcher_client_remove_disk(struct launcher_client *client, const struct id *id,
                                struct error *err);

/* The sandboxes that have a kept disk, whether they live or not. `*ret_ids` is allocated, the
 * caller's to free; NULL when there are none. Disks that come or go during the call may be missed
 * or named twice. */
int launcher_client_disks(struct launcher_client *client, struct id **ret_ids, size_t *ret_count,
                          struct error *err);

/*
 * Removes the logs of one generation of a sandbox, of all with 0. ERR_CONFLICT while it lives,
 * ERR_NOT_FOUND when there are none.
 */
int launcher_client_remove_logs(struct launcher_client *client, const struct id *id,
                                uint32_t generation, struct error *err);

int launcher_client_freeze(struct launcher_client *client, const struct id *id, uint32_t generation,
                           struct error *err);

int launcher_client_thaw(struct launcher_client *client, const struct id *id, uint32_t generation,
                         struct error *err);

/*
 * All live sandboxes, page by page. `*ret_entries` is allocated, the caller's to free; NULL when
 * there are none. Sandboxes that come or go during the call may be missed or named twice.
 */
int launcher_client_list(struct launcher_client *client, struct launcher_entry **ret_entries,
                         size_t *ret_count, struct error *err);

/* The bits of enum host_feature (lib/host/host.h). */
int launcher_client_features(struct launcher_client *client, uint64_t *ret_features,
                             struct error *err);

/*
 * Connects to the agent of a live sandbox; see agent_client_connect for the deadline and the
 * errors. Free the result with agent_client_free.
 */
int launcher_client_connect_agent(const struct launcher_client *client, const struct id *id,
                                  uint32_t generation, int64_t deadline_usec,
                                  struct agent_client **ret_agent, struct error *err);

/* Writes the path of a sandbox's agent socket; launcher_client_open has checked that it fits. */
void launcher_client_agent_path(const struct launcher_client *client, const struct id *id,
                                uint32_t generation, char path[static LAUNCHER_CLIENT_PATH_SIZE]);

#endif
