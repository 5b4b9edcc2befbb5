/*
 * Packs what is at a path into an archive on stdout. A folder's entries are named from the folder
 * on, so that unpacking into a folder of the same content gives the same; a file is one entry.
 *
 * Links are packed as links. FIFOs, sockets and devices are left out, and other mounts below the
 * path too. The walk uses open folders and never follows a link.
 */
#ifndef ARCHIVE_PACK_H
#define ARCHIVE_PACK_H

/* `format` is a word of ARCHIVE_FORMATS. Fails by ending the program. */
void pack(const char *format, const char *path);

#endif
