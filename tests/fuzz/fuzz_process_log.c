/*
 * What a hostile agent may leave in a log: the input is the two files, cut where the first two
 * bytes say.
 */
#include "lib/runtime/process_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 256 * 1024 };

static const struct id process_id = {"0123456789abcdef"};

static char folder_path[] = "/tmp/atoll-fuzz-log.XXXXXX";
static const char *const names[] = {
    "30313233343536373839616263646566.log.1",
    "30313233343536373839616263646566.log",
};

static void remove_folder(void)
{
    char path[128];

    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder_path, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder_path);
}

/* One for all inputs. */
static int get_folder(void)
{
    static int fd = -1;

    if (fd >= 0)
        return fd;
    if (!mkdtemp(folder_path) || atexit(remove_folder) != 0)
        abort();
    fd = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        abort();
    return fd;
}

static void put_file(int folder, const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void read_log(int folder, uint64_t offset)
{
    struct process_log *log;
    struct process_log_entry entry;
    struct error err;
    uint64_t next = offset;

    if (process_log_open(folder, &process_id, offset, &log, &err) < 0)
        return;
    while (process_log_next(log, &entry, &err) > 0) {
        if (entry.kind != PROCESS_LOG_OUTPUT)
            continue;
        if (entry.offset != next + entry.gap || entry.size == 0 || entry.size > AGENT_OUTPUT_MAX)
            abort();
        next = entry.offset + entry.size;
    }
    process_log_free(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct agent_process process;
    struct error err;
    size_t cut;
    int folder;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    cut = (size_t)data[0] << 8 | data[1];
    data += 2;
    size -= 2;
    cut = cut < size ? cut : size;
    folder = get_folder();
    put_file(folder, names[0], data, cut);
    put_file(folder, names[1], data + cut, size - cut);
    read_log(folder, 0);
    read_log(folder, 100);
    (void)process_log_outcome(folder, &process_id, &process, &err);
    return 0;
}
