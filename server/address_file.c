#include "server/address_file.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>

static int open_folder(const char *run_dir, struct error *err)
{
    _cleanup_free_ char *path = NULL;
    int folder;

    if (asprintf(&path, "%s/server", run_dir) < 0) {
        path = NULL;
        return error_no_memory(err);
    }
    folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? error_set_errno(err, errno, "cannot open %s", path) : folder;
}

int address_file_write(const char *run_dir, const char *host, uint16_t port, struct error *err)
{
    _cleanup_close_ int folder = open_folder(run_dir, err);
    _cleanup_close_ int fd = -1;
    char line[300];
    int length = snprintf(line, sizeof(line), "%s:%u\n", host, port);

    if (folder < 0)
        return -1;
    fd = openat(folder, "address.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot write %s/server/address", run_dir);
    if (write_all(fd, line, (size_t)length, err) < 0)
        return -1;
    if (renameat(folder, "address.new", folder, "address") < 0)
        return error_set_errno(err, errno, "cannot write %s/server/address", run_dir);
    return 0;
}

void address_file_remove(const char *run_dir)
{
    _cleanup_close_ int folder = open_folder(run_dir, NULL);

    if (folder >= 0)
        (void)unlinkat(folder, "address", 0);
}
