/*
 * Unpacks an archive from stdin into a folder, which is made where it is missing.
 *
 * What an archive may not do, whoever made it: leave the folder, by an absolute name, by `..` or
 * through a link, one of the archive or one that was there before; make a device, a FIFO or a
 * socket; give a set-id or sticky bit, or an owner. Every entry is made by going from the folder's
 * descriptor into one name after another with O_NOFOLLOW, so that swaps in between lead nowhere.
 * Links are made as they are and never followed. Files replace what is there; a folder is never
 * replaced. What was unpacked before a failure stays.
 *
 * stdout: a dot now and then as a sign of life, then a line "<entries> <bytes>".
 */
#ifndef ARCHIVE_UNPACK_H
#define ARCHIVE_UNPACK_H

/* Fails by ending the program. */
void unpack(const char *path);

#endif
