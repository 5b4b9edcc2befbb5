#include "cli/defaults.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_default(const struct config_origins *origins, enum config_key_index index)
{
    return origins->keys[index].source == CONFIG_FROM_DEFAULT;
}

static int set_default(struct config *config, const struct config_origins *origins,
                       enum config_key_index index, const char *text, struct error *err)
{
    return is_default(origins, index) ? config_set(config, index, text, err) : 0;
}

static int fill_for_user(struct config *config, const struct config_origins *origins,
                         struct error *err)
{
    const struct passwd *user = getpwuid(getuid());
    char folder[PATH_MAX];
    char path[PATH_MAX + 16];
    char run_dir[32];

    if (!user)
        return error_set(err, ERR_INTERNAL, "uid %u has no entry in the user database", getuid());
    if (!getcwd(folder, sizeof(folder)))
        return error_set(err, ERR_INTERNAL, "the working folder is gone");
    (void)snprintf(path, sizeof(path), "%s/.atoll/state", folder);
    (void)snprintf(run_dir, sizeof(run_dir), "/run/atoll-%u", getuid());
    if (set_default(config, origins, CONFIG_KEY_state_dir, path, err) < 0 ||
        set_default(config, origins, CONFIG_KEY_state_run_dir, run_dir, err) < 0)
        return -1;
    return set_default(config, origins, CONFIG_KEY_state_user, user->pw_name, err);
}

static int fill_database(struct config *config, struct error *err)
{
    static const struct {
        enum config_key_index index;
        const char *role;
    } urls[] = {
        {CONFIG_KEY_database_url, "atoll_app"},
        {CONFIG_KEY_database_system_url, "atoll_system"},
        {CONFIG_KEY_database_owner_url, "atoll_owner"},
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char text[160];

        (void)snprintf(text, sizeof(text), "host=%s/%s dbname=atoll user=%s", config->state_run_dir,
                       DEFAULTS_POSTGRES_NAME, urls[i].role);
        if (config_set(config, urls[i].index, text, err) < 0)
            return -1;
    }
    return 0;
}

static int fill_key(struct config *config, struct error *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", config->state_dir, DEFAULTS_KEY_NAME);
    return config_set(config, CONFIG_KEY_auth_hs256_key_file, path, err);
}

bool defaults_private_database(const struct config_origins *origins)
{
    return is_default(origins, CONFIG_KEY_database_url) &&
           is_default(origins, CONFIG_KEY_database_system_url) &&
           is_default(origins, CONFIG_KEY_database_owner_url);
}

int defaults_fill(struct config *config, const struct config_origins *origins, struct error *err)
{
    if (geteuid() != 0 && fill_for_user(config, origins, err) < 0)
        return -1;
    if (defaults_private_database(origins) && fill_database(config, err) < 0)
        return -1;
    if (strcmp(config->auth_mode, "jwt") == 0 && config->auth_hs256_key_file[0] == '\0' &&
        config->auth_rs256_key_file[0] == '\0' && config->auth_es256_key_file[0] == '\0')
        return fill_key(config, err);
    return 0;
}
