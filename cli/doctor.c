/* atoll doctor: what the host gives, what it lacks, and how to change that. */
#include "cli/cli.h"

#include "cli/cluster.h"
#include "cli/defaults.h"
#include "cli/elevate.h"
#include "cli/identity.h"
#include "cli/image_store.h"
#include "cli/spawn.h"
#include "lib/base/util.h"
#include "lib/host/host.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { DISK_NEEDED_MB = 2048, DETAIL_SIZE = 256 };

/* A check answers whether it holds, and may say more in `detail`. */
struct check {
    const char *name;
    const char *meaning;
    const char *fix;
    bool required;
    bool (*holds)(const struct cli *cli, char detail[static DETAIL_SIZE]);
};

static bool has_postgres(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    struct error err = {0};
    char folder[64];

    if (!defaults_private_database(&cli->origins)) {
        (void)snprintf(detail, DETAIL_SIZE, "database.url names another one");
        return true;
    }
    if (cluster_find_programs(0, folder, &err) < 0)
        return false;
    (void)snprintf(detail, DETAIL_SIZE, "%s", folder);
    return true;
}

static bool has_user(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    struct identity identity;
    struct error err;
    bool found = false;

    if (identity_find(cli->config.state_user, &identity, &found, &err) < 0 || !found)
        return false;
    (void)snprintf(detail, DETAIL_SIZE, "%.32s, uid %u", cli->config.state_user, identity.uid);
    return identity.uid != 0;
}

static bool has_disk(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    _cleanup_free_ char *path = strdup(cli->config.state_dir);
    struct statvfs info;
    uint64_t free_mb;

    /* The folder may not exist yet: its nearest parent has the same file system. */
    while (path && statvfs(path, &info) < 0) {
        char *slash = strrchr(path, '/');

        if (path[1] == '\0')
            return false;
        slash[slash == path] = '\0'; /* "/" stays */
    }
    if (!path)
        return false;
    free_mb = (uint64_t)info.f_bavail * info.f_frsize >> 20;
    (void)snprintf(detail, DETAIL_SIZE, "%" PRIu64 " MB free", free_mb);
    return free_mb >= DISK_NEEDED_MB;
}

static bool has_mmdebstrap(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    struct error err;

    (void)cli;
    return spawn_find_tool("mmdebstrap", detail, &err) == 0;
}

static bool has_image(const struct cli *cli, const char *name)
{
    struct image_store store;
    struct error err;

    return image_store_open(cli->config.state_dir, &store, &err) == 0 &&
           image_store_has(&store, name);
}

static bool has_base(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    (void)detail;
    return has_image(cli, "base");
}

static bool has_bun(const struct cli *cli, char detail[static DETAIL_SIZE])
{
    (void)detail;
    return has_image(cli, "bun");
}

static const struct check checks[] = {
    {"PostgreSQL", "the private database", "apt-get install postgresql", true, has_postgres},
    {"disk space", "images and sandboxes", "free 2 GB for state.dir", true, has_disk},
    {"service user", "the daemons' own user", "`atoll dev` or `make install` makes it", false,
     has_user},
    {"mmdebstrap", "builds the images", "apt-get install mmdebstrap", false, has_mmdebstrap},
    {"image base", "node, typescript, python, shell", "atoll image build base", false, has_base},
    {"image bun", "the runtime bun", "apt-get install npm; atoll image build bun", false, has_bun},
};

/* One line; true unless something required is missing. */
static bool print_line(const char *name, const char *meaning, const char *detail, const char *fix,
                       bool required, bool holds)
{
    const char *state = holds ? "ok" : required ? "MISSING" : "absent";

    (void)printf("%-8s %-28s %s", state, name, meaning);
    if (detail[0])
        (void)printf(" (%s)", detail);
    if (!holds)
        (void)printf("\n%-8s %-28s fix: %s", "", "", fix);
    (void)putchar('\n');
    return holds || !required;
}

int cli_doctor(struct cli *cli, struct error *err)
{
    struct host_result results[HOST_FEATURE_COUNT];
    bool good = true;

    /* The kernel's features are tried, and root is who will use them. */
    if (elevate(cli, err) < 0)
        return -1;
    host_probe(results);
    for (size_t i = 0; i < HOST_FEATURE_COUNT; i++)
        good &= print_line(results[i].name, results[i].meaning, "", results[i].fix,
                           results[i].required, results[i].present);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        char detail[DETAIL_SIZE] = "";
        bool holds = checks[i].holds(cli, detail);

        good &= print_line(checks[i].name, checks[i].meaning, detail, checks[i].fix,
                           checks[i].required, holds);
    }
    return good ? CLI_OK : CLI_FAILED;
}
