/* The table of commands. */
#include "cli/verb.h"

#include "cli/verb_functions.h"
#include "lib/base/util.h"

const struct cli_option api_options[] = {
    {"--url", "URL", "the service; else ATOLL_URL, else the server that runs here"},
    {"--token", "TOKEN",
     "a token or an API key; else ATOLL_TOKEN, else ATOLL_API_KEY, else made here for this host"},
    {"--token-file", "FILE", "the same, from a file"},
    {"--json", NULL, "print what the service says, as JSON; a line a page, or an event"},
};
const size_t api_option_count = ARRAY_SIZE(api_options);

#define LIMIT_OPTION                                                                               \
    {                                                                                              \
        "--limit", "N", "at most so many; 1000 unless said"                                        \
    }
#define PROJECT_OPTION                                                                             \
    {                                                                                              \
        "--project", "ID", "of or in this project"                                                 \
    }

static const struct cli_option limit_options[] = {LIMIT_OPTION};
static const struct cli_option project_options[] = {PROJECT_OPTION};
static const struct cli_option key_create_options[] = {
    {"--role", "ROLE", "viewer, member (unless said), admin or operator"},
    PROJECT_OPTION,
    {"--expires", "TIME", "when it ends, as 2027-01-02T03:04:05Z; never unless said"},
};
static const struct cli_option ps_options[] = {
    {"--all", NULL, "those that are stopped or failed, too"},
    PROJECT_OPTION,
    {"--label", "NAME=VALUE", "only those with this label"},
    LIMIT_OPTION,
};
static const struct cli_option create_options[] = {
    {"--runtime", "NAME", "python, node, typescript, shell or bun, in place of an image"},
    {"--name", "TEXT", "for people"},
    PROJECT_OPTION,
    {"--cpu", "CORES", "such as 0.5"},
    {"--memory", "SIZE", "such as 512m or 2g"},
    {"--disk", "SIZE", "of its writable layer"},
    {"--env", "NAME=VALUE", "a variable; may come often"},
    {"--label", "NAME=VALUE", "a label; may come often"},
};
static const struct cli_option exec_options[] = {
    {"--cwd", "PATH", "where it runs; /sandbox unless said"},
    {"--user", "NAME", "who runs it; 'user' unless said"},
    {"--env", "NAME=VALUE", "a variable; may come often"},
    {"--timeout", "TIME", "such as 500ms or 30s; none unless said"},
    {"--stdin", NULL, "the command reads our standard input, which is read to its end before"},
    {"-i", NULL,
     "the command reads our standard input as it comes; 8 MiB of its output wait for us"},
    {"-t", NULL, "the same in a terminal: ours belongs to the command until it has ended"},
};
static const struct cli_option logs_options[] = {
    {"--follow", NULL, "go on with what it writes, until it has ended"},
    {"--tail", "LINES", "begin with the last so many"},
    {"--since", "OFFSET", "begin behind so many bytes of it"},
};
static const struct cli_option cat_options[] = {
    {"--user", "NAME", "whose rights count; 'user' unless said"},
};
static const struct cli_option cp_options[] = {
    {"--archive", NULL,
     "a folder of the sandbox: FILE is a tar.gz of it, or is unpacked into it (tar and zip, too)"},
    {"--user", "NAME", "whose rights count; 'user' unless said"},
};
static const struct cli_option ls_options[] = {
    {"--depth", "LEVELS", "of folders to show, 1 to 64; 1 unless said"},
    {"--user", "NAME", "whose rights count; 'user' unless said"},
    LIMIT_OPTION,
};
static const struct cli_option stop_options[] = {
    {"--timeout", "TIME", "from TERM to KILL, such as 10s"},
};
static const struct cli_option run_options[] = {
    {"--runtime", "NAME", "python, node, typescript, shell or bun; else by the file's name"},
    {"--env", "NAME=VALUE", "a variable; may come often"},
    {"--timeout", "TIME", "such as 500ms or 30s"},
    {"--memory", "SIZE", "such as 256m or 1g"},
    {"--stdin", NULL, "the program reads our standard input"},
    PROJECT_OPTION,
};
static const struct cli_option event_options[] = {
    {"--follow", NULL, "go on with what happens, until Ctrl-C"},
    {"--sandbox", "ID", "only of this sandbox"},
    {"--kind", "KIND", "only kinds that begin so, such as run."},
    {"--since", "TIME", "not before, as 2027-01-02T03:04:05Z; without --follow"},
    {"--until", "TIME", "before; without --follow"},
    {"--limit", "N", "at most so many; 1000 unless said, with --follow without an end"},
};
static const struct cli_option usage_options[] = {
    {"--from", "TIME", "as 2027-01-02T00:00:00Z; 30 days ago unless said"},
    {"--to", "TIME", "up to, not with; now unless said"},
    PROJECT_OPTION,
};
static const struct cli_option token_options[] = {
    {"--sub", "TEXT", "who it is for"},
    {"--tenant", "ID", "of this tenant; the default one unless said"},
    {"--project", "ID", "bound to this project"},
    {"--scope", "ROLE", "viewer, member, admin or operator"},
    {"--ttl", "SECONDS", "how long it counts; 3600 unless said"},
};
static const struct cli_option config_options[] = {
    {"--show", NULL, "the effective values and where each comes from; so it is unless said"},
    {"--docs", NULL, "the reference, as Markdown"},
    {"--toml", NULL, "a file of defaults to start from"},
};

#define OPTIONS(array)         .options = (array), .option_count = ARRAY_SIZE(array)
#define LOCAL(words, function) .run = (function), .min_words = (words), .max_words = (words)
#define API(least, most, function)                                                                 \
    .run = (function), .calls_api = true, .min_words = (least), .max_words = (most)

const struct verb verbs[] = {
    {"dev", "", "Run the whole service here, with a private PostgreSQL, until Ctrl-C",
     .run_words = cli_dev},
    {"migrate", "", "Bring the database's schema up to date", .run_words = cli_migrate},
    {"token", "", "Print a bearer token, signed with the HS256 key", LOCAL(0, cli_token),
     OPTIONS(token_options)},
    {"image ls", "", "List the images that sandboxes are made from", LOCAL(0, cli_image_ls)},
    {"image build", "NAME", "Make an image by its recipe: base or bun", LOCAL(1, cli_image_build)},
    {"image import", "NAME FILE", "Make an image from the tar of a root file system",
     LOCAL(2, cli_image_import)},
    {"image rm", "NAME", "Remove an image; sandboxes that live keep it", LOCAL(1, cli_image_rm)},
    {"config", "", "Print the configuration", LOCAL(0, cli_config), OPTIONS(config_options)},
    {"doctor", "", "Say what this host lacks, and how to fix it", .run_words = cli_doctor},

    {"run", "FILE|- [-- ARGUMENTS]",
     "Run code in a fresh sandbox, and exit as it did; '-' is standard input",
     API(1, 1, verb_run_code), .takes_rest = true, OPTIONS(run_options)},
    {"ps", "", "List the sandboxes that are up", API(0, 0, verb_ps), OPTIONS(ps_options)},
    {"inspect", "ID", "Show a sandbox", API(1, 1, verb_inspect)},
    {"create", "[IMAGE] [-- COMMAND]", "Make a sandbox, start it and print its id",
     API(0, 1, verb_create), .takes_rest = true, OPTIONS(create_options)},
    {"start", "ID...", "Start stopped sandboxes with their disks",
     API(1, ARGUMENTS_MAX, verb_start)},
    {"stop", "ID...", "Stop sandboxes and keep their disks", API(1, ARGUMENTS_MAX, verb_stop),
     OPTIONS(stop_options)},
    {"rm", "ID...", "End sandboxes and remove their disks", API(1, ARGUMENTS_MAX, verb_rm)},
    {"exec", "ID -- COMMAND", "Run a command in a sandbox that runs, and exit as it did",
     API(1, 1, verb_exec), .takes_rest = true, OPTIONS(exec_options)},
    {"processes", "ID", "List the commands of a sandbox, the newest first",
     API(1, 1, verb_processes), OPTIONS(limit_options)},
    {"logs", "ID [PROCESS]", "Print what a command of a sandbox wrote, the main one unless said",
     API(1, 2, verb_logs), OPTIONS(logs_options)},
    {"cat", "ID PATH", "Print a file of a sandbox that runs, byte by byte", API(2, 2, verb_cat),
     OPTIONS(cat_options)},
    {"cp", "ID:PATH FILE | FILE ID:PATH",
     "Copy a file from a sandbox that runs, or to it; '-' is standard output, or input",
     API(2, 2, verb_cp), OPTIONS(cp_options)},
    {"ls", "ID [PATH]", "List a folder of a sandbox that runs, /sandbox unless said",
     API(1, 2, verb_ls), OPTIONS(ls_options)},
    {"events", "", "List what happened, or follow it", API(0, 0, verb_events),
     OPTIONS(event_options)},
    {"usage", "", "Show what was used, by project and day", API(0, 0, verb_usage),
     OPTIONS(usage_options)},

    {"project create", "NAME", "Make a project and print its id", API(1, 1, verb_project_create)},
    {"project ls", "", "List the projects", API(0, 0, verb_project_ls), OPTIONS(limit_options)},
    {"project rm", "ID", "Delete a project", API(1, 1, verb_project_rm)},
    {"key create", "NAME", "Make an API key and print it, this once", API(1, 1, verb_key_create),
     OPTIONS(key_create_options)},
    {"key ls", "", "List the API keys", API(0, 0, verb_key_ls), OPTIONS(limit_options)},
    {"key revoke", "ID", "End an API key, and calls with it", API(1, 1, verb_key_revoke)},
    {"quota show", "[TENANT]", "Show limits and use of the own tenant, or of another",
     API(0, 1, verb_quota_show), OPTIONS(project_options)},
    {"quota set", "TENANT NAME=LIMIT...",
     "Set limits such as sandboxes=10 cpu=4 memory=8g; none takes one away",
     API(2, ARGUMENTS_MAX, verb_quota_set), OPTIONS(project_options)},
    {"tenant create", "NAME", "Make a tenant and print its id", API(1, 1, verb_tenant_create)},
    {"tenant ls", "", "List the tenants", API(0, 0, verb_tenant_ls), OPTIONS(limit_options)},
    {"tenant show", "ID", "Show a tenant", API(1, 1, verb_tenant_show)},
    {"tenant suspend", "ID", "Refuse every request of a tenant", API(1, 1, verb_tenant_suspend)},
    {"tenant resume", "ID", "Let a suspended tenant go on", API(1, 1, verb_tenant_resume)},
    {"tenant rm", "ID", "Delete a tenant", API(1, 1, verb_tenant_rm)},

    {"completion", "bash|zsh", "Print a shell's completion, for its start-up file",
     .run_words = cli_completion, .needs_nothing = true},
    {"version", "", "Print the version", .run_words = cli_version, .needs_nothing = true},
    {"help", "[COMMAND]", "Print this, or about a command", .run_words = cli_help,
     .needs_nothing = true},
};
const size_t verb_count = ARRAY_SIZE(verbs);
