#include "server/auth/issuer.h"

#include "lib/auth/jwk.h"
#include "lib/base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND_USEC = 1000000 };

struct file_stamp file_stamp_of(const char *path)
{
    struct stat status;

    if (!path || path[0] == '\0' || stat(path, &status) < 0)
        return (struct file_stamp){.inode = 0};
    return (struct file_stamp){.device = status.st_dev,
                               .inode = status.st_ino,
                               .size = status.st_size,
                               .modified = status.st_mtim,
                               .changed = status.st_ctim};
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void set_policy(struct issuer *issuer, const struct config *config, bool is_own)
{
    const struct auth_issuer *definition = &issuer->definition;

    issuer->policy = (struct auth_policy){
        .issuer = definition->issuer,
        .audience = definition->audience,
        .leeway_seconds = config->auth_leeway_s,
        .algorithms = definition->algorithms,
        .has_tenant = definition->has_tenant,
        .tenant = definition->tenant,
        .max_role = definition->max_role,
        .is_own = is_own,
    };
}

static void set_source(struct issuer *issuer)
{
    const char *where = issuer->definition.where;

    switch (issuer->definition.source) {
    case AUTH_SOURCE_JWKS_URL:
        issuer->url = where;
        break;
    case AUTH_SOURCE_JWKS_FILE:
        issuer->files.jwks = where;
        break;
    case AUTH_SOURCE_PUBLIC_KEY_FILE:
        issuer->files.public_key = where;
        break;
    case AUTH_SOURCE_HS256_KEY_FILE:
        issuer->files.hs256 = where;
        break;
    }
}

static int check_ca_file(const struct issuer *issuer, struct error *err)
{
    const char *path = issuer->definition.ca_file;

    if (path && access(path, R_OK) < 0)
        return error_set_errno(err, errno, "jwks_ca_file `%s`", path);
    return 0;
}

int issuer_create(struct auth_issuer *definition, const struct config *config,
                  struct issuer **ret_issuer, struct error *err)
{
    _cleanup_(cleanup_issuer) struct issuer *issuer = calloc(1, sizeof(*issuer));

    if (!issuer) {
        auth_issuer_done(definition);
        return error_no_memory(err);
    }
    issuer->definition = *definition;
    *definition = (struct auth_issuer){.issuer = NULL};
    set_policy(issuer, config, false);
    set_source(issuer);
    (void)issuer_files_changed(issuer);
    if (check_ca_file(issuer, err) < 0)
        return -1;
    if (!issuer->url && issuer_load_files(issuer, &issuer->keys, err) < 0)
        return -1;
    *ret_issuer = TAKE_PTR(issuer);
    return 0;
}

int issuer_create_own(const struct config *config, struct issuer **ret_issuer, struct error *err)
{
    const char *const paths[AUTH_ALGORITHM_COUNT] = {
        [AUTH_HS256] = config->auth_hs256_key_file,
        [AUTH_RS256] = config->auth_rs256_key_file,
        [AUTH_ES256] = config->auth_es256_key_file,
    };
    _cleanup_(cleanup_issuer) struct issuer *issuer = calloc(1, sizeof(*issuer));

    if (!issuer)
        return error_no_memory(err);
    for (unsigned i = 0; i < AUTH_ALGORITHM_COUNT; i++)
        if (paths[i][0] != '\0')
            issuer->definition.algorithms |= 1U << i;
    *ret_issuer = NULL;
    if (issuer->definition.algorithms == 0)
        return 0;
    issuer->definition.issuer = strdup(config->auth_issuer);
    issuer->definition.audience = strdup(config->auth_audience);
    issuer->definition.max_role = ROLE_OPERATOR;
    if (!issuer->definition.issuer || !issuer->definition.audience)
        return error_no_memory(err);
    set_policy(issuer, config, true);
    issuer->files = (struct auth_key_files){
        .hs256 = paths[AUTH_HS256], .rs256 = paths[AUTH_RS256], .es256 = paths[AUTH_ES256]};
    (void)issuer_files_changed(issuer);
    if (issuer_load_files(issuer, &issuer->keys, err) < 0)
        return -1;
    *ret_issuer = TAKE_PTR(issuer);
    return 0;
}

void issuer_free(struct issuer *issuer)
{
    if (!issuer)
        return;
    auth_keys_free(issuer->keys);
    auth_issuer_done(&issuer->definition);
    free(issuer);
}

bool issuer_same_source(const struct issuer *a, const struct issuer *b)
{
    return strcmp(a->policy.issuer, b->policy.issuer) == 0 && a->url && b->url &&
           strcmp(a->url, b->url) == 0 &&
           strcmp(a->definition.ca_file ? a->definition.ca_file : "",
                  b->definition.ca_file ? b->definition.ca_file : "") == 0;
}

bool issuer_files_changed(struct issuer *issuer)
{
    const struct auth_key_files *files = &issuer->files;
    const char *const paths[ISSUER_FILES_MAX] = {
        files->hs256,
        files->rs256 ? files->rs256 : files->public_key,
        files->es256 ? files->es256 : files->jwks,
    };
    bool changed = false;

    for (size_t i = 0; i < ISSUER_FILES_MAX; i++) {
        struct file_stamp stamp = file_stamp_of(paths[i]);

        changed |= !file_stamp_equal(&stamp, &issuer->stamps[i]);
        issuer->stamps[i] = stamp;
    }
    return changed;
}

int issuer_load_files(const struct issuer *issuer, struct auth_keys **ret_keys, struct error *err)
{
    return auth_keys_load(&issuer->files, ret_keys, err);
}

int issuer_load_set(const char *text, size_t size, struct auth_keys **ret_keys, struct error *err)
{
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = calloc(1, sizeof(*keys));

    if (!keys)
        return error_no_memory(err);
    if (auth_jwks_add(keys, text, size, err) < 0)
        return -1;
    *ret_keys = TAKE_PTR(keys);
    return 0;
}

bool issuer_may_refetch(const struct issuer *issuer, int64_t now_usec)
{
    return issuer->url &&
           (issuer->attempted_usec == 0 ||
            now_usec - issuer->attempted_usec >= issuer->definition.refetch_s * SECOND_USEC);
}

bool issuer_fetch_due(const struct issuer *issuer, int64_t now_usec)
{
    if (!issuer_may_refetch(issuer, now_usec))
        return false;
    return issuer->is_wanted || issuer->fetched_usec == 0 || issuer->is_failing ||
           now_usec - issuer->fetched_usec >= issuer->definition.refresh_s * SECOND_USEC;
}

bool issuer_is_stale(const struct issuer *issuer, int64_t now_usec)
{
    return issuer->url && issuer->keys &&
           now_usec - issuer->fetched_usec >= issuer->definition.max_age_s * SECOND_USEC;
}
