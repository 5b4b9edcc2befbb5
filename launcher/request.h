/*
 * What the launcher believes of a packet before it acts on it. Pure functions over bytes: no
 * allocation, no system call; fuzzed by tests/fuzz/fuzz_launcher_request.c.
 */
#ifndef LAUNCHER_REQUEST_H
#define LAUNCHER_REQUEST_H

#include <atoll/launcher_proto.h>
#include <stddef.h>

/*
 * Checks a packet of `size` bytes. Returns 0 and copies it to `ret_request`; EPROTO when it is not
 * a request of this version at all (the connection ends then); EINVAL when a field is out of its
 * bounds, and `*ret_field` names it. On EINVAL `ret_request` holds the op, for the answer.
 */
int launcher_request_check(const void *packet, size_t size, struct launcher_request *ret_request,
                           const char **ret_field);

#endif
