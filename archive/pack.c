#include "archive/pack.h"

#include "archive/report.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fast rather than small: it is made while the client waits. */
#define COMPRESSION "compression-level=3"

enum { PIECE = 128 * 1024, BLOCK = 64 * 1024 };

struct packing {
    struct archive *archive;
    struct archive_entry *entry; /* used again for each */
    dev_t device;                /* of the folder that is packed */
    unsigned depth;
    unsigned long count;
    char name[ARCHIVE_NAME_MAX + 1]; /* of the entry at hand, from the packed folder on */
    size_t name_size;
    char piece[PIECE];
};

static void check(const struct packing *packing, int result)
{
    /* A warning is of a field that could not be translated, such as a name that is not UTF-8. */
    if (result < ARCHIVE_WARN)
        report_archive(ARCHIVE_BROKEN, packing->archive, packing->name);
}

static struct archive *make_writer(const char *format)
{
    struct archive *archive = archive_write_new();
    bool is_zip = strcmp(format, "zip") == 0;
    int result = ARCHIVE_FATAL;

    if (archive)
        result = is_zip ? archive_write_set_format_zip(archive)
                        : archive_write_set_format_pax_restricted(archive);
    if (result == ARCHIVE_OK && strcmp(format, "tar.gz") == 0)
        result = archive_write_add_filter_gzip(archive);
    if (result == ARCHIVE_OK && is_zip)
        result = archive_write_set_options(archive, "zip:" COMPRESSION);
    else if (result == ARCHIVE_OK && strcmp(format, "tar.gz") == 0)
        result = archive_write_set_options(archive, "gzip:" COMPRESSION ",gzip:!timestamp");
    if (result == ARCHIVE_OK)
        result = archive_write_set_bytes_per_block(archive, BLOCK);
    if (result == ARCHIVE_OK) /* the end needs no padding to a tape's block */
        result = archive_write_set_bytes_in_last_block(archive, 1);
    if (result == ARCHIVE_OK)
        result = archive_write_open_fd(archive, STDOUT_FILENO);
    if (result != ARCHIVE_OK)
        report_failure(ARCHIVE_BROKEN, "", "the archive cannot be begun");
    return archive;
}

/* Appends `/name`; returns the size before, for take_back. */
static size_t append(struct packing *packing, const char *name)
{
    size_t before = packing->name_size;
    int size = snprintf(packing->name + before, sizeof(packing->name) - before, "%s%s",
                        before > 0 ? "/" : "", name);

    if (size < 0 || (size_t)size >= sizeof(packing->name) - before)
        report_errno(ENAMETOOLONG, packing->name);
    packing->name_size += (size_t)size;
    return before;
}

static void take_back(struct packing *packing, size_t before)
{
    packing->name_size = before;
    packing->name[before] = '\0';
}

/* Owners are left out: whoever unpacks is the owner. */
static void put_header(struct packing *packing, const struct stat *status, const char *link)
{
    struct archive_entry *entry = archive_entry_clear(packing->entry);

    if (++packing->count > ARCHIVE_ENTRIES_MAX)
        report_failure(ARCHIVE_TOO_MANY, packing->name, "there are too many files");
    archive_entry_copy_pathname(entry, packing->name);
    archive_entry_set_filetype(entry, status->st_mode & S_IFMT);
    archive_entry_set_perm(entry, status->st_mode & 0777);
    archive_entry_set_mtime(entry, status->st_mtim.tv_sec, status->st_mtim.tv_nsec);
    archive_entry_set_size(entry, S_ISREG(status->st_mode) ? status->st_size : 0);
    if (link)
        archive_entry_copy_symlink(entry, link);
    check(packing, archive_write_header(packing->archive, entry));
}

static void put_content(struct packing *packing, int fd, off_t size)
{
    while (size > 0) {
        size_t wanted = size < PIECE ? (size_t)size : PIECE;
        ssize_t got = read(fd, packing->piece, wanted);

        if (got < 0)
            report_errno(errno, packing->name);
        if (got == 0)
            report_failure(ARCHIVE_CONFLICT, packing->name, "the file became shorter");
        if (archive_write_data(packing->archive, packing->piece, (size_t)got) != got)
            report_archive(ARCHIVE_BROKEN, packing->archive, packing->name);
        size -= got;
    }
    check(packing, archive_write_finish_entry(packing->archive));
}

static void pack_file(struct packing *packing, int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        report_errno(errno, packing->name);
    if (S_ISREG(status.st_mode)) { /* it may have been swapped */
        put_header(packing, &status, NULL);
        put_content(packing, fd, status.st_size);
    }
    close(fd);
}

static void pack_link(struct packing *packing, int folder, const char *name,
                      const struct stat *status)
{
    char link[PATH_MAX];
    ssize_t size = readlinkat(folder, name, link, sizeof(link) - 1);

    link[size < 0 ? 0 : size] = '\0';
    if (size < 0)
        report_errno(errno, packing->name);
    put_header(packing, status, link);
}

static void pack_entry(struct packing *packing, int folder, const char *name);

static void pack_content(struct packing *packing, int fd)
{
    DIR *folder = fdopendir(fd);
    const struct dirent *item;

    if (!folder)
        report_errno(errno, packing->name);
    if (++packing->depth > ARCHIVE_DEPTH_MAX)
        report_failure(ARCHIVE_UNSAFE, packing->name, "the folders are too deep");
    while ((errno = 0, item = readdir(folder))) {
        size_t before;

        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        before = append(packing, item->d_name);
        pack_entry(packing, fd, item->d_name);
        take_back(packing, before);
    }
    if (errno != 0)
        report_errno(errno, packing->name);
    packing->depth--;
    closedir(folder);
}

static void pack_folder(struct packing *packing, int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        report_errno(errno, packing->name);
    if (status.st_dev != packing->device) {
        close(fd);
        return;
    }
    put_header(packing, &status, NULL);
    pack_content(packing, fd);
}

static void pack_entry(struct packing *packing, int folder, const char *name)
{
    struct stat status;

    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT) /* removed meanwhile */
            return;
        report_errno(errno, packing->name);
    }
    if (S_ISREG(status.st_mode))
        pack_file(packing, folder, name);
    else if (S_ISDIR(status.st_mode))
        pack_folder(packing, folder, name);
    else if (S_ISLNK(status.st_mode))
        pack_link(packing, folder, name, &status);
}

static void pack_root(struct packing *packing, const char *path)
{
    const char *slash = strrchr(path, '/');
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        report_errno(errno, "");
    if (S_ISDIR(status.st_mode)) {
        packing->device = status.st_dev;
        pack_content(packing, fd);
        return;
    }
    if (!S_ISREG(status.st_mode))
        report_failure(ARCHIVE_UNSAFE, "", "it is neither a folder nor a file");
    (void)append(packing, slash ? slash + 1 : path);
    put_header(packing, &status, NULL);
    put_content(packing, fd, status.st_size);
    close(fd);
}

void pack(const char *format, const char *path)
{
    static struct packing packing;

    packing.entry = archive_entry_new();
    if (!packing.entry)
        report_errno(ENOMEM, "");
    packing.archive = make_writer(format);
    pack_root(&packing, path);
    check(&packing, archive_write_close(packing.archive));
    archive_write_free(packing.archive);
    archive_entry_free(packing.entry);
}
