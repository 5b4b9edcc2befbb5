#include "server/services/runtimes.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <string.h>

/*
 * Node cannot read TypeScript: esbuild bundles the entry file beside itself, so that packages and
 * relative imports resolve as they would have, and node runs the result with mapped stack traces.
 */
static const char typescript_command[] =
    "esbuild \"$1\" --bundle --platform=node --packages=external --sourcemap=inline "
    "--log-level=warning --outfile=\"$1.atoll.cjs\" && "
    "exec node --enable-source-maps \"$1.atoll.cjs\"";

static const struct runtime runtimes[] = {
    {"node", "base", "index.js", {"node"}},
    {"typescript", "base", "index.ts", {"/bin/sh", "-c", typescript_command, "typescript"}},
    {"bun", "bun", "index.ts", {"bun", "run"}},
    {"python", "base", "main.py", {"python3"}},
    {"shell", "base", "main.sh", {"/bin/sh"}},
};

const struct runtime *runtime_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
        if (strcmp(runtimes[i].name, name) == 0)
            return &runtimes[i];
    }
    return NULL;
}

/* True when a segment of the path is `..`: refused rather than resolved, so that no reader of the
 * definition has to wonder where a file lands. */
static bool has_parent_segment(const char *path)
{
    for (const char *segment = path; segment; segment = strchr(segment, '/')) {
        segment += *segment == '/';
        if (strncmp(segment, "..", 2) == 0 && (segment[2] == '/' || segment[2] == '\0'))
            return true;
    }
    return false;
}

int sandbox_path_resolve(const char *path, const char *field, char **ret_path, struct error *err)
{
    size_t length = strlen(path);
    char *resolved = NULL;

    if (length == 0 || length > SANDBOX_PATH_MAX)
        return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must have 1 to %d bytes", field,
                               SANDBOX_PATH_MAX);
    if (has_parent_segment(path))
        return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must not hold '..'", field);
    if (path[length - 1] == '/' || strcmp(path, ".") == 0)
        return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must name a file", field);
    if (asprintf(&resolved, "%s%s", path[0] == '/' ? "" : SANDBOX_HOME, path) < 0)
        return error_no_memory(err);
    *ret_path = resolved;
    return 0;
}

int launch_plan_make(const struct sandbox_definition *definition, struct launch_plan *ret_plan,
                     struct error *err)
{
    const struct runtime *runtime = runtime_find(definition->runtime);
    const char *entry = definition->entry_point;
    bool command_line = entry && strpbrk(entry, " \t\n");
    struct launch_plan plan = {0};
    size_t argc = 0;

    if (!runtime)
        return error_set(err, ERR_INTERNAL, "the stored runtime '%s' is unknown",
                         definition->runtime);
    if (!entry || command_line)
        entry = runtime->entry_file;
    if (sandbox_path_resolve(entry, "entry_point", &plan.entry_path, err) < 0)
        return -1;
    plan.image = runtime->image;
    plan.code_yields = command_line;
    if (command_line) {
        plan.argv[argc++] = "/bin/sh";
        plan.argv[argc++] = "-c";
        plan.argv[argc++] = definition->entry_point;
    } else {
        bool own_interpreter = runtime == runtime_find("shell") && definition->code_size > 2 &&
                               memcmp(definition->code, "#!", 2) == 0;

        for (size_t i = 0; !own_interpreter && runtime->command[i]; i++)
            plan.argv[argc++] = runtime->command[i];
        plan.argv[argc++] = plan.entry_path;
    }
    plan.argv[argc] = NULL;
    *ret_plan = plan;
    return 0;
}

void launch_plan_free(struct launch_plan *plan)
{
    free(plan->entry_path);
    plan->entry_path = NULL;
}
