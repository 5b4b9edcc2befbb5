#include "server/handlers/v1_why.h"

#include "server/services/why.h"

enum { WORD_MAX = 64, ACTOR_MAX = 255 };

/* What the row says, and which rule is the next to end it. */
struct why_view {
    struct store_why why;
    int64_t ends_usec;
    const char *ends_by;
    const char *ends_how;
};

#define WORD(name_, member)                                                                        \
    .name = (name_), .type = JSON_TYPE_STRING, .max = WORD_MAX,                                    \
    .offset = offsetof(struct why_view, member)

static const struct json_field fields[] = {
    {.name = "sandbox_id",
     .type = JSON_TYPE_ID,
     .required = true,
     .offset = offsetof(struct why_view, why.id)},
    {WORD("kind", why.kind), .required = true, .choices = "definition|container"},
    {WORD("state", why.state), .required = true},
    {WORD("kept_by", why.kept_by), .choices = "run|use|lifetime",
     .about = "What keeps it: a run under way, its last use, or only its age; null: it is being "
              "deleted."},
    {.name = "active_runs",
     .type = JSON_TYPE_INTEGER,
     .required = true,
     .max = INT32_MAX,
     .offset = offsetof(struct why_view, why.active_runs)},
    {.name = "ends_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct why_view, ends_usec),
     .about = "When the next rule ends it, if nothing happens before."},
    {WORD("ends_by", ends_by), .choices = "idle_timeout|max_lifetime"},
    {WORD("ends_how", ends_how), .choices = "stop|delete",
     .about = "A stopped container keeps its disk."},
    {.name = "idle_ends_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct why_view, why.idle_usec),
     .about = "When idle_timeout ends it; null while it is used, or does not run."},
    {.name = "lifetime_ends_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct why_view, why.lifetime_usec)},
    {.name = "changed_at",
     .type = JSON_TYPE_TIME,
     .offset = offsetof(struct why_view, why.change_usec),
     .about = "The last change of its state."},
    {WORD("changed_from", why.change_from)},
    {WORD("changed_to", why.change_to)},
    {WORD("change_reason", why.change_reason)},
    {.name = "changed_by",
     .type = JSON_TYPE_STRING,
     .max = ACTOR_MAX,
     .offset = offsetof(struct why_view, why.change_actor),
     .about = "The subject of the caller's token, or the program that acted by itself."},
    {WORD("change_request_id", why.change_request_id)},
};

const struct json_table why_table = JSON_TABLE("SandboxWhy", fields);

static void choose_end(struct why_view *view)
{
    const struct store_why *why = &view->why;
    bool by_idle = why->idle_usec && (!why->lifetime_usec || why->idle_usec < why->lifetime_usec);

    if (!why->idle_usec && !why->lifetime_usec)
        return;
    view->ends_usec = by_idle ? why->idle_usec : why->lifetime_usec;
    view->ends_by = by_idle ? "idle_timeout" : "max_lifetime";
    view->ends_how = by_idle ? why->idle_action : "delete";
}

int handle_sandbox_why(struct call *call, struct error *err)
{
    struct why_view view = {.ends_usec = 0};
    cJSON *body;

    if (why_get(call->services, &call->caller, &call->id, &view.why, err) < 0)
        return -1;
    choose_end(&view);
    body = json_encode(&why_table, &view);
    store_why_free(&view.why);
    return call_respond_json(call, 200, body, err);
}
