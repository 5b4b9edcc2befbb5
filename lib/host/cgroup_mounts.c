#include "lib/host/cgroup_mounts.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOUNTINFO_MAX = 4 << 20 };

static const struct {
    const char *name;
    unsigned bit;
} controllers[] = {
    {"memory", CGROUP_MEMORY},   {"cpu", CGROUP_CPU},         {"pids", CGROUP_PIDS},
    {"freezer", CGROUP_FREEZER}, {"cpuacct", CGROUP_CPUACCT},
};

/* True when `word` stands in `text` between characters of `separators` or the text's ends. */
static bool holds_word(const char *text, const char *word, const char *separators)
{
    size_t length = strlen(word);

    while (*text != '\0') {
        size_t size = strcspn(text, separators);

        if (size == length && memcmp(text, word, length) == 0)
            return true;
        text += size;
        text += strspn(text, separators);
    }
    return false;
}

bool cgroup_words_hold(const char *words, const char *word)
{
    return holds_word(words, word, " \n");
}

static unsigned controller_bits(const char *text, const char *separators)
{
    unsigned bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
        if (holds_word(text, controllers[i].name, separators))
            bits |= controllers[i].bit;
    return bits;
}

void cgroup_mounts_add(struct cgroup_mounts *mounts, const char *line)
{
    char path[CGROUP_PATH_SIZE];
    char type[32];
    char options[256];
    const char *tail = strstr(line, " - ");
    struct cgroup_v1_mount *v1;
    unsigned bits;

    if (!tail || sscanf(line, "%*s %*s %*s %*s %511s", path) != 1 ||
        sscanf(tail, " - %31s %*s %255s", type, options) != 2)
        return;
    if (strcmp(type, "cgroup2") == 0 && mounts->v2[0] == '\0')
        memcpy(mounts->v2, path, sizeof(path));
    if (strcmp(type, "cgroup") != 0 || mounts->v1_count == CGROUP_V1_MOUNTS)
        return;
    bits = controller_bits(options, ",");
    /* A hierarchy that is mounted twice counts once. */
    for (unsigned i = 0; i < mounts->v1_count; i++)
        if (mounts->v1[i].controllers & bits)
            return;
    v1 = &mounts->v1[mounts->v1_count++];
    memcpy(v1->path, path, sizeof(path));
    v1->controllers = bits;
}

static void read_v2_controllers(struct cgroup_mounts *mounts)
{
    _cleanup_free_ char *words = NULL;
    char path[CGROUP_PATH_SIZE + 32];
    size_t size;

    if (mounts->v2[0] == '\0')
        return;
    (void)snprintf(path, sizeof(path), "%s/cgroup.controllers", mounts->v2);
    if (read_file(AT_FDCWD, path, 4096, &words, &size, NULL) == 0)
        mounts->v2_controllers =
            controller_bits(words, " \n") & (CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS);
}

int cgroup_mounts_read(struct cgroup_mounts *ret_mounts, struct error *err)
{
    _cleanup_free_ char *text = NULL;
    char *rest = NULL;
    size_t size;

    if (read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, &size, err) < 0)
        return -1;
    memset(ret_mounts, 0, sizeof(*ret_mounts));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        cgroup_mounts_add(ret_mounts, line);
    read_v2_controllers(ret_mounts);
    return 0;
}

int cgroup_mounts_version(const struct cgroup_mounts *mounts)
{
    const unsigned need_v2 = CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS;
    const unsigned need_v1 = need_v2 | CGROUP_FREEZER;
    unsigned have = 0;

    if ((mounts->v2_controllers & need_v2) == need_v2)
        return 2;
    for (unsigned i = 0; i < mounts->v1_count; i++)
        have |= mounts->v1[i].controllers;
    return (have & need_v1) == need_v1 ? 1 : 0;
}

bool cgroup_mounts_writable(const struct cgroup_mounts *mounts)
{
    int version = cgroup_mounts_version(mounts);

    if (version == 2)
        return access(mounts->v2, W_OK) == 0;
    for (unsigned i = 0; i < mounts->v1_count; i++)
        if (mounts->v1[i].controllers != 0 && access(mounts->v1[i].path, W_OK) < 0)
            return false;
    return version == 1;
}
