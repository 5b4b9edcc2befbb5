/*
 * A WebSocket (RFC 6455) to the service: the client's side. libcurl connects and encrypts (Debian's
 * is built without its own WebSockets), libwslay reads and writes the frames, as in the server.
 * Nothing but channel_open waits.
 */
#ifndef CLI_CHANNEL_H
#define CLI_CHANNEL_H

#include "cli/api.h"

enum channel_kind { CHANNEL_TEXT, CHANNEL_BINARY };

/* A whole message; it may not free the channel. */
typedef void (*channel_take)(void *user, enum channel_kind kind, const char *data, size_t size);

struct channel;

/* Errors as of any call of the service; the caller frees the result. */
int channel_open(struct api *api, const char *path, channel_take take, void *user,
                 struct channel **ret_channel, struct error *err);

/* NULL is allowed. */
void channel_free(struct channel *channel);

/* For poll(2), until something arrives; to send, too, while channel_is_sending. */
int channel_fd(const struct channel *channel);
bool channel_is_sending(const struct channel *channel);

/* Queues a message, which is copied. */
void channel_send(struct channel *channel, enum channel_kind kind, const void *data, size_t size);

/* Takes what has come and sends what there is room for. False once the connection has ended. */
bool channel_move(struct channel *channel);

DEFINE_CLEANUP(struct channel *, channel, channel_free)
#define _cleanup_channel_ _cleanup_(cleanup_channel)

#endif
