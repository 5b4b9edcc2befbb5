#include "lib/runtime/cgroup_stats.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_SIZE = ID_TEXT_SIZE + 11, /* digits, dot, up to ten digits, NUL */
    FILE_PATH_SIZE = NAME_SIZE + 32,
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

static uint64_t read_counter(int base, const char *name, const struct counter_file *counter)
{
    char path[FILE_PATH_SIZE];
    char text[STAT_SIZE];
    _cleanup_close_ int fd = -1;
    const char *number = text;
    char *end;
    uint64_t value;
    ssize_t size;

    if (base < 0)
        return UINT64_MAX;
    (void)snprintf(path, sizeof(path), "%s/%s", name, counter->file);
    fd = openat(base, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (size <= 0)
        return UINT64_MAX;
    text[size] = '\0';
    if (counter->key) {
        number = strstr(text, counter->key);
        if (!number)
            return UINT64_MAX;
        number += strlen(counter->key);
    }
    value = strtoull(number, &end, 10);
    return end != number ? value / counter->divisor : UINT64_MAX;
}

/* Exactly the launcher's spelling: what else lies in the group is not a sandbox. */
static bool parse_name(const char *name, struct id *ret_id, uint32_t *ret_generation)
{
    char digits[ID_TEXT_SIZE];
    char again[ID_TEXT_SIZE];
    uint64_t generation;

    if (strnlen(name, NAME_SIZE) <= ID_TEXT_SIZE || name[ID_TEXT_SIZE - 1] != '.')
        return false;
    memcpy(digits, name, ID_TEXT_SIZE - 1);
    digits[ID_TEXT_SIZE - 1] = '\0';
    if (!id_parse(digits, ret_id) || name[ID_TEXT_SIZE] == '0' ||
        !parse_u64(name + ID_TEXT_SIZE, UINT32_MAX, &generation))
        return false;
    id_format(ret_id, again);
    *ret_generation = (uint32_t)generation;
    return strcmp(again, digits) == 0;
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

/* Reads every sandbox below a group `atoll`. */
static int read_group(const struct group *group, bool v2, struct readings *readings,
                      struct error *err)
{
    _cleanup_closedir_ DIR *folder = NULL;
    int fd = openat(group->pids, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        int saved = errno;

        cleanup_close(&fd);
        return error_set_errno(err, saved, "cannot read the control group `atoll`");
    }
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        struct cgroup_reading reading;

        if (!parse_name(entry->d_name, &reading.id, &reading.generation))
            continue;
        reading.cpu_usec = read_counter(group->cpu, entry->d_name, v2 ? &cpu_v2 : &cpu_v1);
        reading.memory_bytes =
            read_counter(group->memory, entry->d_name, v2 ? &memory_v2 : &memory_v1);
        reading.pids = read_counter(group->pids, entry->d_name, &pids_any);
        /* Without processes it is being removed. */
        if (reading.pids == UINT64_MAX)
            continue;
        if (add_reading(readings, &reading, err) < 0)
            return -1;
    }
    return 0;
}

/* The group `atoll` of the hierarchy that has the controller; -1 when there is none. */
static int open_v1(const struct cgroup_mounts *mounts, unsigned controller)
{
    for (unsigned i = 0; i < mounts->v1_count; i++) {
        char path[CGROUP_PATH_SIZE + 8];

        if (!(mounts->v1[i].controllers & controller))
            continue;
        (void)snprintf(path, sizeof(path), "%s/atoll", mounts->v1[i].path);
        return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

static int read_v1(const struct cgroup_mounts *mounts, struct readings *readings, struct error *err)
{
    _cleanup_close_ int cpu = open_v1(mounts, CGROUP_CPUACCT);
    _cleanup_close_ int memory = open_v1(mounts, CGROUP_MEMORY);
    _cleanup_close_ int pids = open_v1(mounts, CGROUP_PIDS);
    const struct group group = {cpu, memory, pids};

    if (pids < 0)
        return 0; /* no launcher has run here yet */
    return read_group(&group, false, readings, err);
}

/*
 * Looks for groups named `atoll` at and below `parent`. The launcher may be delegated any group;
 * looking anew each time costs some 10 µs a folder and never goes stale.
 */
static int walk_v2(int parent, unsigned depth, struct readings *readings, struct error *err)
{
    _cleanup_closedir_ DIR *folder = fdopendir(parent);

    if (!folder) {
        close(parent);
        return 0; /* gone meanwhile */
    }
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        int child;
        int status;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        child =
            openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (child < 0)
            continue;
        if (strcmp(entry->d_name, "atoll") == 0) {
            const struct group group = {child, child, child};

            status = read_group(&group, true, readings, err);
            close(child);
        } else if (depth > 0) {
            status = walk_v2(child, depth - 1, readings, err);
        } else {
            status = 0;
            close(child);
        }
        if (status < 0)
            return -1;
    }
    return 0;
}

static int read_v2(const struct cgroup_mounts *mounts, struct readings *readings, struct error *err)
{
    int root = open(mounts->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return error_set_errno(err, errno, "cannot read %s", mounts->v2);
    return walk_v2(root, V2_DEPTH, readings, err);
}

int cgroup_stats_read(const struct cgroup_mounts *mounts, struct cgroup_reading **ret_readings,
                      size_t *ret_count, struct error *err)
{
    struct readings readings = {.items = NULL};
    int status = cgroup_mounts_version(mounts) == 2 ? read_v2(mounts, &readings, err)
                                                    : read_v1(mounts, &readings, err);

    if (status < 0) {
        free(readings.items);
        return -1;
    }
    *ret_readings = readings.items;
    *ret_count = readings.count;
    return 0;
}
