/*
 * The client of a WebSocket that follows a process: what he sends goes to the process, and what the
 * process writes goes to him as messages. Internal to attach.c, whose thread it belongs to.
 *
 * Input waits with the client while the process does not read: then nothing that he sent behind it
 * is looked at either.
 */
#ifndef SERVER_SERVICES_ATTACH_SOCKET_H
#define SERVER_SERVICES_ATTACH_SOCKET_H

#include "server/services/attach.h"
#include "server/stream/websocket.h"

struct attach_socket;

/* For a process that its agent knows, or one that has ended; the stream takes input. */
int attach_socket_open(struct services *services, const struct process_info *info,
                       const struct attach_options *options, struct stream *stream,
                       struct attach_socket **ret_socket, struct error *err);

/* NULL is allowed. */
void attach_socket_free(struct attach_socket *socket);

/* Watches its descriptors by `epoll`, edge-triggered, with `data`. */
void attach_socket_watch(struct attach_socket *socket, int epoll, void *data);

/* Goes on with what the client has sent, as far as nobody has to wait. True when there is more. */
bool attach_socket_step(struct attach_socket *socket);

/* Queues a part of the stream. */
void attach_socket_send(struct attach_socket *socket, enum attach_part_kind kind, const char *part,
                        size_t size);

/* Passes on what there is room for. True when nothing is left. */
bool attach_socket_flush(struct attach_socket *socket);

/* The process has ended: what the client sends is of no use any more. */
void attach_socket_detach(struct attach_socket *socket);

void attach_socket_close(struct attach_socket *socket, enum websocket_code code,
                         const char *reason);
bool attach_socket_is_closing(const struct attach_socket *socket);

/* Asks whether the client is there. False when he has not answered for a while. */
bool attach_socket_beat(struct attach_socket *socket);

#endif
