/*
 * Where the server tells which address it listens on: <run_dir>/server/address, one line
 * "host:port". With port 0 it is the only place that knows. Replaced atomically; removed at the
 * end.
 */
#ifndef SERVER_ADDRESS_FILE_H
#define SERVER_ADDRESS_FILE_H

#include <atoll/error.h>
#include <stdint.h>

/* The folder must exist and be writable: `atoll dev`, or systemd's RuntimeDirectory, makes it. */
int address_file_write(const char *run_dir, const char *host, uint16_t port, struct error *err);

void address_file_remove(const char *run_dir);

#endif
