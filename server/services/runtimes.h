/*
 * The runtimes of the sandbox-service dialect: which image each needs, where its code lands and
 * what runs it. One table; everything else asks it.
 */
#ifndef SERVER_SERVICES_RUNTIMES_H
#define SERVER_SERVICES_RUNTIMES_H

#include <atoll/sandbox.h>

/* What a sandbox's relative paths start from, and the working directory of its code. */
#define SANDBOX_HOME "/sandbox/"

enum { RUNTIME_ARGV_MAX = 6, SANDBOX_PATH_MAX = 1024 /* bytes */ };

struct runtime {
    const char *name;
    const char *image;      /* of the image store */
    const char *entry_file; /* where the code lands when the caller names no entry point */
    /* The command before the entry file's path, NULL-terminated. */
    const char *command[RUNTIME_ARGV_MAX];
};

/* The runtime of that name, or NULL. */
const struct runtime *runtime_find(const char *name);

/* The names, as the choices of a request's field. */
#define RUNTIME_CHOICES "node|typescript|bun|python|shell"

/* How one definition is run. Pointers lead into the definition or static storage, but `entry_path`
 * is owned: free it with launch_plan_free. */
struct launch_plan {
    const char *image;
    char *entry_path; /* absolute: where the code lands */
    bool code_yields; /* to a file of the definition that lands there too */
    const char *argv[RUNTIME_ARGV_MAX + 2];
};

/*
 * An entry point with white space is a command line for /bin/sh, and the code lands in the
 * runtime's default file ("bun run dev"), unless the definition has that one itself; without it is
 * the file that the code lands in and that the runtime runs. Shell code that begins with #! is run
 * by the interpreter it names.
 */
int launch_plan_make(const struct sandbox_definition *definition, struct launch_plan *ret_plan,
                     struct error *err);

void launch_plan_free(struct launch_plan *plan);

/*
 * The absolute path of a file inside the sandbox: relative ones land in /sandbox/. Refuses empty
 * paths, `..`, over-long ones and those that name a folder, with `field` in the complaint. The
 * result is allocated and the caller's.
 */
int sandbox_path_resolve(const char *path, const char *field, char **ret_path, struct error *err);

#endif
