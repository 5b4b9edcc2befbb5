#include "archive/unpack.h"

#include "archive/name.h"
#include "archive/report.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 64 * 1024,
    FOLDER_MODE = 0755,
    OWNER_ALL = 0700, /* of folders, so that what belongs into them can be made */
    DOT_BYTES = 16 * 1024 * 1024,
    ENTRY_WEIGHT = 16 * 1024, /* an entry counts as so many bytes */
};

struct unpacking {
    struct archive *archive;
    int root;
    uint64_t entries;
    uint64_t bytes;
    uint64_t silent; /* bytes since the last sign of life */
};

/* Where an entry is to be made. */
struct place {
    int folder;
    const char *last; /* its name in the folder */
    const char *name; /* as the archive has it */
};

/* What was read of stdin to see what it is, and the rest. */
struct input {
    size_t held;
    bool begun;
    char block[BLOCK];
};

static void sign_of_life(struct unpacking *unpacking, uint64_t bytes)
{
    unpacking->silent += bytes;
    if (unpacking->silent < DOT_BYTES)
        return;
    unpacking->silent = 0;
    (void)!write(STDOUT_FILENO, ".", 1);
}

/* Opens the folder `name` in `parent`, made where it is missing, and no link. Closes `parent`. */
static int enter(int parent, const char *name)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);
    int errnum;

    if (fd < 0 && errno == ENOENT && (mkdirat(parent, name, FOLDER_MODE) == 0 || errno == EEXIST))
        fd = openat(parent, name, flags);
    errnum = errno;
    close(parent);
    errno = errnum;
    return fd;
}

/* Finds the place of a clean name that is not empty; cuts the name into its parts. */
static struct place find_place(const struct unpacking *unpacking, char *clean, const char *name)
{
    struct place place = {.folder = fcntl(unpacking->root, F_DUPFD_CLOEXEC, 0), .name = name};
    char *slash;

    while (place.folder >= 0 && (slash = strchr(clean, '/'))) {
        *slash = '\0';
        place.folder = enter(place.folder, clean);
        clean = slash + 1;
    }
    if (place.folder < 0)
        report_errno(errno == ELOOP ? ENOTDIR : errno, name);
    place.last = clean;
    return place;
}

/* What is there makes room, unless it is a folder. */
static void clear_place(const struct place *place)
{
    if (unlinkat(place->folder, place->last, 0) < 0 && errno != ENOENT)
        report_errno(errno, place->name);
}

static void unpack_folder(const struct place *place, mode_t mode)
{
    bool made = mkdirat(place->folder, place->last, OWNER_ALL) == 0;
    int fd = -1;

    if (made || errno == EEXIST)
        fd = openat(place->folder, place->last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || (made && fchmod(fd, (mode & 0777) | OWNER_ALL) < 0))
        report_errno(errno == ELOOP ? ENOTDIR : errno, place->name);
    close(fd);
}

static void write_block(int fd, const char *data, size_t size, off_t offset,
                        const struct place *place)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, data, size, offset);

        if (written < 0) {
            int errnum = errno;

            (void)unlinkat(place->folder, place->last, 0);
            report_errno(errnum, place->name);
        }
        data += written;
        size -= (size_t)written;
        offset += written;
    }
}

/* Returns where the last byte ends. */
static off_t unpack_content(struct unpacking *unpacking, int fd, const struct place *place)
{
    const void *data;
    la_int64_t offset;
    off_t end = 0;
    size_t size;
    int result;

    while ((result = archive_read_data_block(unpacking->archive, &data, &size, &offset)) ==
           ARCHIVE_OK) {
        write_block(fd, data, size, offset, place);
        end = offset + (off_t)size;
        unpacking->bytes += size;
        sign_of_life(unpacking, size);
    }
    if (result != ARCHIVE_EOF) {
        (void)unlinkat(place->folder, place->last, 0);
        report_archive(ARCHIVE_MALFORMED, unpacking->archive, place->name);
    }
    return end;
}

static void unpack_file(struct unpacking *unpacking, struct archive_entry *entry,
                        const struct place *place)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_NOW},
        {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)},
    };
    off_t end;
    int fd;

    clear_place(place);
    fd = openat(place->folder, place->last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0)
        report_errno(errno, place->name);
    end = unpack_content(unpacking, fd, place);
    /* The end of a sparse file may be a hole. */
    if ((archive_entry_size_is_set(entry) && archive_entry_size(entry) > end &&
         ftruncate(fd, archive_entry_size(entry)) < 0) ||
        fchmod(fd, archive_entry_perm(entry) & 0777) < 0)
        report_errno(errno, place->name);
    if (archive_entry_mtime_is_set(entry))
        (void)futimens(fd, times); /* a time that the file system does not have is no harm */
    close(fd);
}

static void unpack_hard_link(const struct unpacking *unpacking, const char *target,
                             const struct place *place)
{
    char clean[ARCHIVE_NAME_MAX + 1];
    const char *reason = name_clean(target, clean);
    struct place source;

    if (reason || clean[0] == '\0')
        report_failure(ARCHIVE_UNSAFE, target, reason ? reason : "it is no file");
    source = find_place(unpacking, clean, target);
    clear_place(place);
    if (linkat(source.folder, source.last, place->folder, place->last, 0) < 0)
        report_errno(errno, place->name);
    close(source.folder);
}

static void unpack_link(const char *target, const struct place *place)
{
    clear_place(place);
    if (symlinkat(target, place->folder, place->last) < 0)
        report_errno(errno, place->name);
}

static void unpack_place(struct unpacking *unpacking, struct archive_entry *entry,
                         const struct place *place)
{
    const char *hard_link = archive_entry_hardlink(entry);
    const char *link = archive_entry_symlink(entry);
    mode_t type = archive_entry_filetype(entry);

    if (hard_link)
        unpack_hard_link(unpacking, hard_link, place);
    else if (type == AE_IFDIR)
        unpack_folder(place, archive_entry_perm(entry));
    else if (type == AE_IFLNK && link && *link)
        unpack_link(link, place);
    else if (type == AE_IFREG)
        unpack_file(unpacking, entry, place);
    else
        report_failure(ARCHIVE_UNSAFE, place->name,
                       "only files, folders and links can be unpacked");
}

static void unpack_entry(struct unpacking *unpacking, struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);
    char clean[ARCHIVE_NAME_MAX + 1];
    const char *reason;
    struct place place;

    if (!name)
        report_failure(ARCHIVE_MALFORMED, "", "an entry has no name");
    if (++unpacking->entries > ARCHIVE_ENTRIES_MAX)
        report_failure(ARCHIVE_TOO_MANY, name, "there are too many entries");
    sign_of_life(unpacking, ENTRY_WEIGHT);
    reason = name_clean(name, clean);
    if (reason)
        report_failure(ARCHIVE_UNSAFE, name, reason);
    if (clean[0] == '\0')
        return; /* the folder itself */
    place = find_place(unpacking, clean, name);
    unpack_place(unpacking, entry, &place);
    close(place.folder);
}

static la_ssize_t read_stdin(struct archive *archive, void *context, const void **ret_block)
{
    struct input *input = context;
    ssize_t got = (ssize_t)input->held;

    if (input->begun)
        got = read(STDIN_FILENO, input->block, sizeof(input->block));
    if (got < 0)
        archive_set_error(archive, errno, "the archive cannot be read");
    input->begun = true;
    *ret_block = input->block;
    return got;
}

/* Looks at the first bytes. */
static bool is_zip(struct input *input)
{
    while (input->held < 4) {
        ssize_t got = read(STDIN_FILENO, input->block + input->held, 4 - input->held);

        if (got < 0)
            report_errno(errno, "");
        if (got == 0)
            break;
        input->held += (size_t)got;
    }
    return input->held == 4 && memcmp(input->block, "PK", 2) == 0;
}

/* A zip's table of contents, which alone has modes and links, is its end: it is kept first. */
static int spool(struct unpacking *unpacking, struct input *input)
{
    static const char name[] = ".atoll-archive";
    ssize_t got = (ssize_t)input->held;
    off_t end = 0;
    int fd;

    (void)unlinkat(unpacking->root, name, 0);
    fd = openat(unpacking->root, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        report_errno(errno, "");
    (void)unlinkat(unpacking->root, name, 0); /* it is gone with the program */
    for (; got > 0; got = read(STDIN_FILENO, input->block, sizeof(input->block))) {
        for (ssize_t done = 0; done < got;) {
            ssize_t written = pwrite(fd, input->block + done, (size_t)(got - done), end);

            if (written < 0)
                report_errno(errno, "");
            done += written;
            end += written;
        }
    }
    if (got < 0 || lseek(fd, 0, SEEK_SET) < 0)
        report_errno(errno, "");
    return fd;
}

static void open_archive(struct unpacking *unpacking, struct input *input)
{
    struct archive *archive = archive_read_new();
    int result = ARCHIVE_FATAL;

    unpacking->archive = archive;
    if (!archive)
        report_errno(ENOMEM, "");
    if (is_zip(input)) {
        result = archive_read_support_format_zip_seekable(archive);
        if (result == ARCHIVE_OK)
            result = archive_read_open_fd(archive, spool(unpacking, input), BLOCK);
    } else {
        (void)archive_read_support_filter_gzip(archive);
        result = archive_read_support_format_tar(archive);
        if (result == ARCHIVE_OK)
            result = archive_read_open(archive, input, NULL, read_stdin, NULL);
    }
    if (result != ARCHIVE_OK)
        report_archive(ARCHIVE_MALFORMED, archive, "");
}

/* The folder that the client names, links included: it is his to choose. */
static int open_root(const char *path)
{
    char *part = strdup(path);
    int fd;

    if (!part)
        report_errno(ENOMEM, "");
    for (char *at = part; at && *at != '\0';) {
        at = strchr(at + strspn(at, "/"), '/');
        if (at)
            *at = '\0';
        if (*part != '\0' && mkdir(part, FOLDER_MODE) < 0 && errno != EEXIST && errno != EISDIR)
            report_errno(errno, "");
        if (at)
            *at = '/';
    }
    free(part);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        report_errno(errno, "");
    return fd;
}

/* Whoever sends is not cut off before the end. */
static void drain(struct input *input)
{
    while (read(STDIN_FILENO, input->block, sizeof(input->block)) > 0)
        ;
}

void unpack(const char *path)
{
    static struct input input;
    struct unpacking unpacking = {.root = open_root(path)};
    struct archive_entry *entry;
    int result;

    (void)umask(0);
    open_archive(&unpacking, &input);
    while ((result = archive_read_next_header(unpacking.archive, &entry)) == ARCHIVE_OK ||
           result == ARCHIVE_WARN)
        unpack_entry(&unpacking, entry);
    if (result != ARCHIVE_EOF)
        report_archive(ARCHIVE_MALFORMED, unpacking.archive, "");
    archive_read_free(unpacking.archive);
    drain(&input);
    close(unpacking.root);
    (void)printf("\n%llu %llu\n", (unsigned long long)unpacking.entries,
                 (unsigned long long)unpacking.bytes);
}
