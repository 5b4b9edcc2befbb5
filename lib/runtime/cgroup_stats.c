#include "lib/runtime/cgroup_stats.h"

#include "lib/base/sandbox_name.h"
#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_PATH_SIZE = SANDBOX_NAME_SIZE + 32,
    STAT_SIZE = 1024,
    V2_DEPTH = 5, /* /, system.slice, atoll.service, or /, machine, container, slice, service */
};

/* The groups `atoll` that hold the counters of the same sandboxes; on v2 all three are one. */
struct group {
    int cpu;
    int memory;
    int pids;
};

struct readings {
    const char *only; /* the name of the one sandbox wanted; NULL: all */
    struct cgroup_reading *items;
    size_t count;
    size_t capacity;
};

/* Where a counter stands: a file of one number, or a line of a file that `key` begins. */
struct counter_file {
    const char *file;
    const char *key;
    uint64_t divisor;
};

static const struct counter_file cpu_v1 = {"cpuacct.usage", NULL, 1000}; /* nanoseconds */
static const struct counter_file cpu_v2 = {"cpu.stat", "usage_usec ", 1};
static const struct counter_file memory_v1 = {"memory.usage_in_bytes", NULL, 1};
static const struct counter_file memory_v2 = {"memory.current", NULL, 1};
static const struct counter_file pids_any = {"pids.current", NULL, 1};

/*
 * Sets `ret_value` to UINT64_MAX for a counter that the kernel does not have, or no longer: the
 * sandbox may be ending. To be refused is an error, because it would look the same.
 */
static int read_counter(int base, const char *name, const struct counter_file *counter,
                        uint64_t *ret_value, struct error *err)
{
    char path[FILE_PATH_SIZE];
    char text[STAT_SIZE];
    _cleanup_close_ int fd = -1;
    const char *number;
    char *end;
    uint64_t value;
    ssize_t size;

    *ret_value = UINT64_MAX;
    if (base < 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s", name, counter->file);
    fd = openat(base, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == EACCES)
        return error_set_errno(err, errno, "cannot read the control group's atoll/%s", path);
    size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (size <= 0)
        return 0;
    text[size] = '\0';
    number = counter->key ? strstr(text, counter->key) : text;
    if (!number)
        return 0;
    number += counter->key ? strlen(counter->key) : 0;
    value = strtoull(number, &end, 10);
    if (end != number)
        *ret_value = value / counter->divisor;
    return 0;
}

static int add_reading(struct readings *readings, const struct cgroup_reading *reading,
                       struct error *err)
{
    if (readings->count == readings->capacity) {
        size_t capacity = readings->capacity == 0 ? 64 : readings->capacity * 2;
        struct cgroup_reading *larger =
            reallocarray(readings->items, capacity, sizeof(*readings->items));

        if (!larger)
            return error_set_errno(err, ENOMEM, "cannot read the control groups");
        readings->items = larger;
        readings->capacity = capacity;
    }
    readings->items[readings->count++] = *reading;
    return 0;
}

static int read_sandbox(const struct group *group, bool v2, const char *name,
                        struct cgroup_reading *reading, struct error *err)
{
    if (read_counter(group->cpu, name, v2 ? &cpu_v2 : &cpu_v1, &reading->cpu_usec, err) < 0 ||
        read_counter(group->memory, name, v2 ? &memory_v2 : &memory_v1, &reading->memory_bytes,
                     err) < 0)
        return -1;
    return read_counter(group->pids, name, &pids_any, &reading->pids, err);
}

/* Without processes it is being removed, or is not there: then it is left out. */
static int read_named(const struct group *group, bool v2, const char *name,
                      struct readings *readings, struct error *err)
{
    struct cgroup_reading reading;

    if (!sandbox_name_parse(name, &reading.id, &reading.generation))
        return 0;
    if (read_sandbox(group, v2, name, &reading, err) < 0)
        return -1;
    return reading.pids == UINT64_MAX ? 0 : add_reading(readings, &reading, err);
}

/* Reads every wanted sandbox below a group `atoll`. */
static int read_group(const struct group *group, bool v2, struct readings *readings,
                      struct error *err)
{
    _cleanup_closedir_ DIR *folder = NULL;

    if (readings->only)
        return read_named(group, v2, readings->only, readings, err);
    folder = folder_open(group->pids);
    if (!folder)
        return error_set_errno(err, errno, "cannot read the control group `atoll`");
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (read_named(group, v2, entry->d_name, readings, err) < 0)
            return -1;
    return 0;
}

/* The group `atoll` of the hierarchy that has the controller; -1 when there is none. */
static int open_v1(const struct cgroup_mounts *mounts, unsigned controller, int *ret_fd,
                   struct error *err)
{
    *ret_fd = -1;
    for (unsigned i = 0; i < mounts->v1_count; i++) {
        char path[CGROUP_PATH_SIZE + 8];

        if (!(mounts->v1[i].controllers & controller))
            continue;
        (void)snprintf(path, sizeof(path), "%s/atoll", mounts->v1[i].path);
        *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*ret_fd < 0 && errno != ENOENT)
            return error_set_errno(err, errno, "cannot read %s", path);
        return 0;
    }
    return 0;
}

static int read_v1(const struct cgroup_mounts *mounts, struct readings *readings, struct error *err)
{
    _cleanup_close_ int cpu = -1;
    _cleanup_close_ int memory = -1;
    _cleanup_close_ int pids = -1;

    if (open_v1(mounts, CGROUP_CPUACCT, &cpu, err) < 0 ||
        open_v1(mounts, CGROUP_MEMORY, &memory, err) < 0 ||
        open_v1(mounts, CGROUP_PIDS, &pids, err) < 0)
        return -1;
    if (pids < 0)
        return 0; /* no launcher has run here yet */
    return read_group(&(struct group){cpu, memory, pids}, false, readings, err);
}

/*
 * Looks for groups named `atoll` at and below `parent`. The launcher may be delegated any group;
 * looking anew each time costs some 10 µs a folder and never goes stale. Folders that somebody else
 * has closed are passed over, a group `atoll` is not.
 */
static int walk_v2(int parent, unsigned depth, struct readings *readings, struct error *err)
{
    _cleanup_closedir_ DIR *folder = folder_open(parent);

    if (!folder)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot read a control group");
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        bool ours = strcmp(entry->d_name, "atoll") == 0;
        _cleanup_close_ int child = -1;
        int status = 0;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        child = openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (child < 0 && ours && errno != ENOENT)
            return error_set_errno(err, errno, "cannot read the control group `atoll`");
        if (child < 0)
            continue;
        if (ours)
            status = read_group(&(struct group){child, child, child}, true, readings, err);
        else if (depth > 0)
            status = walk_v2(child, depth - 1, readings, err);
        if (status < 0)
            return -1;
    }
    return 0;
}

static int read_v2(const struct cgroup_mounts *mounts, struct readings *readings, struct error *err)
{
    _cleanup_close_ int root = open(mounts->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return error_set_errno(err, errno, "cannot read %s", mounts->v2);
    return walk_v2(root, V2_DEPTH, readings, err);
}

static int read_all(const struct cgroup_mounts *mounts, struct readings *readings,
                    struct error *err)
{
    int status = cgroup_mounts_version(mounts) == 2 ? read_v2(mounts, readings, err)
                                                    : read_v1(mounts, readings, err);

    if (status < 0)
        free(readings->items);
    return status;
}

int cgroup_stats_read(const struct cgroup_mounts *mounts, struct cgroup_reading **ret_readings,
                      size_t *ret_count, struct error *err)
{
    struct readings readings = {.items = NULL};

    if (read_all(mounts, &readings, err) < 0)
        return -1;
    *ret_readings = readings.items;
    *ret_count = readings.count;
    return 0;
}

int cgroup_stats_read_one(const struct cgroup_mounts *mounts, const struct id *id,
                          uint32_t generation, struct cgroup_reading *ret_reading,
                          struct error *err)
{
    char name[SANDBOX_NAME_SIZE];
    struct readings readings = {.only = name};
    struct cgroup_mounts present;

    sandbox_name_format(id, generation, name);
    if (!mounts && cgroup_mounts_read(&present, err) < 0)
        return -1;
    if (read_all(mounts ? mounts : &present, &readings, err) < 0)
        return -1;
    if (readings.count == 0)
        return error_set(err, ERR_NOT_FOUND, "the sandbox has no control group");
    *ret_reading = readings.items[0];
    free(readings.items);
    return 0;
}
