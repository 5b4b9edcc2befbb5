/*
 * Which Internet addresses a server may be sent to by somebody else: those of the public Internet.
 * And which hosts are this machine alone.
 *
 * A URL of a tenant must not lead into the operator's network, to this host, or to the metadata
 * service of a cloud.
 *
 * The ranges are IANA's special-purpose registries (RFC 6890 and the registries that it began).
 * Ask about the address that is connected to, not about a name: a name may resolve to something
 * else the next time (DNS rebinding).
 */
#ifndef LIB_BASE_ADDRESS_H
#define LIB_BASE_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* NULL for an address of the public Internet; else a word that says what it is, e.g. "private". */
const char *address_refusal(const struct sockaddr *address);

/* The same for a numeric address as text; NULL also for text that is not one, such as a name. */
const char *address_text_refusal(const char *text);

/*
 * True for `localhost`, 127.0.0.0/8 in the usual four parts, and ::1: only this machine gets there.
 * Other names are not looked up.
 */
bool host_is_loopback(const char *host);

#endif
