#include "cli/elevate.h"

#include "cli/paths.h"
#include "cli/spawn.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_MAX = 128, PRESERVE_SIZE = 4096, SET_SIZE = PATH_MAX + 64 };

/* "--preserve-env=A,B": the variables of the table that are set, and what recipes use. */
static void list_variables(char text[static PRESERVE_SIZE])
{
    size_t used =
        (size_t)snprintf(text, PRESERVE_SIZE, "--preserve-env=http_proxy,https_proxy,no_proxy");

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (getenv(config_keys[i].environment))
            used += (size_t)snprintf(text + used, PRESERVE_SIZE - used, ",%s",
                                     config_keys[i].environment);
    }
}

int elevate(const struct cli *cli, struct error *err)
{
    static const enum config_key_index of_user[] = {CONFIG_KEY_state_dir, CONFIG_KEY_state_run_dir,
                                                    CONFIG_KEY_state_user};
    char sets[3][SET_SIZE];
    char preserve[PRESERVE_SIZE];
    char sudo[64];
    struct paths paths;
    const char *argv[ARGUMENTS_MAX + 12] = {"sudo", preserve, "--"};
    size_t argc = 3;

    if (geteuid() == 0)
        return 0;
    if (paths_find(&paths, err) < 0)
        return -1;
    if (spawn_find_tool("sudo", sudo, err) < 0)
        return error_wrap(err, "this needs root");
    list_variables(preserve);
    argv[argc++] = paths.self;
    /* In front of the user's own options, which win. */
    for (size_t i = 0; i < 3; i++) {
        const struct config_key *key = &config_keys[of_user[i]];
        char buffer[CONFIG_TEXT_SIZE];

        if (cli->origins.keys[of_user[i]].source != CONFIG_FROM_DEFAULT)
            continue;
        (void)snprintf(sets[i], SET_SIZE, "--set=%s.%s=%s", key->section, key->name,
                       config_value_text(&cli->config, key, buffer));
        argv[argc++] = sets[i];
    }
    for (size_t i = 1; i <= ARGUMENTS_MAX && cli->all_argv[i]; i++)
        argv[argc++] = cli->all_argv[i];
    (void)execv(sudo, (char *const *)(void *)argv);
    return error_set_errno(err, errno, "%s", sudo);
}
