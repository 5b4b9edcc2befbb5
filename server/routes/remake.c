#include "server/routes/remake.h"

#include <string.h>

/*
 * Whether a GET's pattern is about what another's effect is on: the same, or with an id more
 * (POST /v1/things makes it), or with a word less (POST /v1/things/{id}/verb).
 */
static bool is_about_the_same(const char *get, const char *other)
{
    const char *get_tail = strrchr(get, '/');
    const char *other_tail = strrchr(other, '/');
    size_t get_stem = (size_t)(get_tail - get);
    size_t other_stem = (size_t)(other_tail - other);

    if (strcmp(get, other) == 0)
        return true;
    if (strlen(other) == get_stem && strncmp(get, other, get_stem) == 0)
        return get_tail[1] == '{';
    return strlen(get) == other_stem && strncmp(get, other, other_stem) == 0 &&
           other_tail[1] != '{';
}

static bool shows(const struct route *get, const struct route *route)
{
    return get->method == HTTP_GET && get->response && get->response == route->response &&
           is_about_the_same(get->pattern, route->pattern);
}

static call_handler find_get(const struct route_table *const *tables, size_t count,
                             const struct route *route)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            if (shows(&tables[t]->routes[i], route))
                return tables[t]->routes[i].handler;
    return NULL;
}

struct idempotent_plan remake_plan(const struct route_table *const *tables, size_t count,
                                   const struct route *route)
{
    struct idempotent_plan plan = {
        .handler = route->handler,
        .remake = route->remake,
        .gone_runs_again = route->method == HTTP_POST,
        .keeps_answer = !(route->flags & ROUTE_SECRET),
        .status = route->status ? route->status : 200,
    };

    if (plan.remake)
        return plan;
    if (route->method == HTTP_DELETE) {
        plan.remake = route->handler;
        plan.gone_is_done = true;
    } else {
        plan.remake = find_get(tables, count, route);
    }
    return plan;
}
