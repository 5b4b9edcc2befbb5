#include "cli/following.h"

#include <string.h>
#include <unistd.h>

enum {
    TRIES_MAX = 10,
    PAUSE_S = 1, /* between two tries */
};

/* A service that is shut down may end its streams as if they were whole. */
static bool has_broken(const struct following *following, int result, const struct error *err)
{
    return !following->has_ended(following->user) &&
           (result < 0 ? err->code == ERR_UNAVAILABLE : !following->is_whole);
}

static int follow_rest(struct api *api, const struct following *following, const char *path,
                       struct error *err)
{
    return api_follow(api, "GET", path, NULL, following->take, following->user, err);
}

int following_run(struct api *api, const struct following *following, struct error *err)
{
    _cleanup_free_ char *before = NULL;
    int result = api_follow(api, following->method, following->path, following->body,
                            following->take, following->user, err);

    for (int tries = 0; has_broken(following, result, err); tries++) {
        char *path = following->rest(following->user);

        if (path && before && strcmp(path, before) != 0)
            tries = 0;
        free(before);
        before = path;
        if (!path || tries == TRIES_MAX)
            return result < 0 ? -1 : error_set(err, ERR_UNAVAILABLE, "the service breaks off");
        if (tries > 0)
            (void)sleep(PAUSE_S);
        result = follow_rest(api, following, path, err);
    }
    return result < 0 && !following->has_ended(following->user) ? -1 : CLI_OK;
}
