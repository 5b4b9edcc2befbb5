/*
 * Streams of events that are taken up again when they break off: behind the last event that came,
 * so that nothing is missing and nothing comes twice.
 */
#ifndef CLI_FOLLOWING_H
#define CLI_FOLLOWING_H

#include "cli/api.h"

struct following {
    /* The first request. */
    const char *method;
    const char *path;
    const cJSON *body; /* NULL: none */
    /* Gets each event; its false, when has_ended is true from then on, ends the stream. */
    bool (*take)(const struct api_event *event, void *user);
    /* The path of a GET that goes on behind what was taken, the caller's; NULL: there is none. */
    char *(*rest)(const void *user);
    /* True when nothing more is wanted. */
    bool (*has_ended)(const void *user);
    bool is_whole; /* when the service ends it; else only has_ended tells that */
    void *user;
};

/* Follows until it has ended. ERR_UNAVAILABLE when it cannot be taken up again, after ten tries in
 * which nothing came. */
int following_run(struct api *api, const struct following *following, struct error *err);

#endif
