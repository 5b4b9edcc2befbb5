/*
 * The service as the commands call it: over HTTP, as any client does.
 *
 * Errors of the calls: ERR_UNAVAILABLE when the service cannot be reached, ERR_NOT_FOUND for 404,
 * ERR_CONFLICT for everything else that it refuses; with its detail and its request id.
 */
#ifndef CLI_API_H
#define CLI_API_H

#include "cli/peer.h"
#include "cli/verb.h"
#include "lib/json/json.h"

#include <atoll/cleanup.h>
#include <signal.h>
#include <stdbool.h>

struct api;

/* The caller frees it. */
int api_open(const struct cli *cli, const struct arguments *arguments, struct api **ret_api,
             struct error *err);
void api_free(struct api *api);

DEFINE_CLEANUP(struct api *, api, api_free)
#define _cleanup_api_ _cleanup_(cleanup_api)

/* True for --json: what the service says is printed as it is. */
bool api_json(const struct api *api);

/* Where the service is and who asks, for a request from here on; the api's. */
const struct peer *api_peer(struct api *api);

/* What is asked for from here on is broken off once *stop is not 0: ERR_UNAVAILABLE. NULL: never.
 */
void api_stop_at(struct api *api, const volatile sig_atomic_t *stop);

/*
 * A request; `body` may be NULL. The answer, NULL for one without a body, is the caller's. With
 * --json it is printed.
 */
int api_call(struct api *api, const char *method, const char *path, const cJSON *body,
             cJSON **ret_answer, struct error *err);

/* A GET whose answer is not what was asked for: never printed. */
int api_get(struct api *api, const char *path, cJSON **ret_answer, struct error *err);

/* As api_call, and prints the answer by lines. */
int api_show(struct api *api, const char *method, const char *path, const cJSON *body,
             struct error *err);

/* As api_call, and prints a word of the answer, such as an id. */
int api_show_member(struct api *api, const char *method, const char *path, const cJSON *body,
                    const char *member, struct error *err);

/* An event of a stream (text/event-stream); for the call it is handed to. */
struct api_event {
    const char *name; /* "" where it has none */
    const char *id;   /* the last that came */
    const char *data;
};

/*
 * Reads the stream of events that answers a request until it ends; `body` may be NULL. `take` gets
 * each; its false ends the stream.
 */
int api_follow(struct api *api, const char *method, const char *path, const cJSON *body,
               bool (*take)(const struct api_event *event, void *user), void *user,
               struct error *err);

/* Writes the bytes of an answer as they come. When it fails, some of them may be written. */
int api_save(struct api *api, const char *path, FILE *out, struct error *err);

/* PUTs the bytes of a descriptor, up to its end, as they come. With --json the answer is printed.
 */
int api_send(struct api *api, const char *path, int fd, struct error *err);

/* The error's code for an HTTP status that is a refusal. */
enum error_code api_refusal_code(long status);

/* Fails with ERR_CONFLICT: what answered cannot be the service. */
int api_not_the_service(const struct api *api, struct error *err);

/* ERR_BAD_REQUEST unless the text is an id; it may be put into a path then. */
int api_check_id(const char *text, struct error *err);

#endif
