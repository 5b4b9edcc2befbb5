/* The questions of a start-up scan: which groups are ours, and who is in them. */
#include "launcher/cgroup.h"
#include "launcher/cgroup_private.h"
#include "launcher/ready_name.h"
#include "launcher/sys.h"

#include "lib/base/sandbox_name.h"
#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

bool cgroup_holds(const struct cgroup_host *host, const char *name, pid_t pid)
{
    char path[64];
    char text[4096];
    char suffix[SANDBOX_NAME_SIZE + 16];
    unsigned found = 0;
    size_t length;

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    if (sys_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
        return false;
    /* Each line is "number:controllers:path". */
    length = (size_t)snprintf(suffix, sizeof(suffix), "/atoll/%s", name);
    for (const char *hit = strstr(text, suffix); hit; hit = strstr(hit + 1, suffix))
        if (hit[length] == '\n' || hit[length] == '\0')
            found++;
    return found >= host->count;
}

static bool has_mark(const struct cgroup_host *host, const char *name)
{
    _cleanup_close_ int group =
        openat(host->bases[0], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    char mark[CGROUP_MARK_SIZE];
    ssize_t size;

    if (group < 0)
        return false;
    size = fgetxattr(group, CGROUP_MARK_NAME, mark, sizeof(mark));
    return size > 0 && (size_t)size == strlen(host->mark) &&
           memcmp(mark, host->mark, (size_t)size) == 0;
}

int cgroup_scan(const struct cgroup_host *host, void (*visit)(const char *name, void *context),
                void *context, struct error *err)
{
    _cleanup_closedir_ DIR *folder = folder_open(host->bases[0]);

    if (!folder)
        return error_set_errno(err, errno, "cannot read the cgroup `atoll`");
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        struct id id;
        uint32_t generation;

        if ((sandbox_name_parse(entry->d_name, &id, &generation) ||
             ready_name_valid(entry->d_name)) &&
            has_mark(host, entry->d_name))
            visit(entry->d_name, context);
    }
    return 0;
}
