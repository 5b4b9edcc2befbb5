#include "cli/local_file.h"

#include "lib/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct local_file {
    FILE *stream;
    char *path;
};

/* What a signal removes; "": nothing. */
static char unfinished[PATH_MAX];

static const int endings[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/* SA_RESETHAND has put the signal's own effect back: it ends the program. */
static void end(int number)
{
    (void)unlink(unfinished);
    (void)raise(number);
}

static void watch_signals(void)
{
    const struct sigaction action = {.sa_handler = end, .sa_flags = (int)SA_RESETHAND};
    struct sigaction present;

    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (sigaction(endings[i], NULL, &present) == 0 && present.sa_handler != SIG_IGN)
            (void)sigaction(endings[i], &action, NULL);
}

static int check_place(const char *path, struct error *err)
{
    struct stat stat;

    if (lstat(path, &stat) == 0 && !S_ISREG(stat.st_mode))
        return error_set(err, ERR_CONFLICT, "%s is there, and no regular file", path);
    return 0;
}

/* A name in the folder of `path`, so that it can be moved there. */
static int make_name(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;

    if (snprintf(unfinished, sizeof(unfinished), "%.*s.atoll-XXXXXX", folder, path) < PATH_MAX)
        return 0;
    unfinished[0] = '\0';
    return error_set_errno(err, ENAMETOOLONG, "%s", path);
}

static int make_stream(struct local_file *file, struct error *err)
{
    int fd = mkostemp(unfinished, O_CLOEXEC);

    if (fd < 0) {
        unfinished[0] = '\0';
        return error_set_errno(err, errno, "cannot write %s", file->path);
    }
    file->stream = fdopen(fd, "w");
    if (file->stream)
        return 0;
    (void)close(fd);
    return error_set_errno(err, ENOMEM, "cannot write %s", file->path);
}

static int fill(struct local_file *file, const char *path, struct error *err)
{
    if (check_place(path, err) < 0 || make_name(path, err) < 0)
        return -1;
    file->path = strdup(path);
    if (!file->path)
        return error_set_errno(err, ENOMEM, "cannot write %s", path);
    watch_signals();
    return make_stream(file, err);
}

int local_file_open(const char *path, struct local_file **ret_file, struct error *err)
{
    _cleanup_local_file_ struct local_file *file = calloc(1, sizeof(*file));

    if (!file)
        return error_set_errno(err, ENOMEM, "cannot write %s", path);
    if (fill(file, path, err) < 0)
        return -1;
    *ret_file = TAKE_PTR(file);
    return 0;
}

FILE *local_file_stream(const struct local_file *file)
{
    return file->stream;
}

int local_file_keep(struct local_file *file, mode_t mode, struct error *err)
{
    FILE *stream = TAKE_PTR(file->stream);
    bool written = fchmod(fileno(stream), mode & 0777) == 0;

    /* A full disk may show only here. */
    if (fclose(stream) != 0 || !written || rename(unfinished, file->path) < 0)
        return error_set_errno(err, errno, "cannot write %s", file->path);
    unfinished[0] = '\0';
    return 0;
}

void local_file_free(struct local_file *file)
{
    if (!file)
        return;
    if (file->stream)
        (void)fclose(file->stream);
    if (unfinished[0] != '\0')
        (void)unlink(unfinished);
    unfinished[0] = '\0';
    free(file->path);
    free(file);
}
