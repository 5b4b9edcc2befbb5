/* A plain HTTP client for tests: it sends exactly the bytes it is given. */
#ifndef TESTS_UNIT_SERVER_EDGE_CLIENT_H
#define TESTS_UNIT_SERVER_EDGE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_response {
    int status;
    char head[16 * 1024]; /* status line and fields */
    char *body;
    size_t body_size;
};

/* Connects to 127.0.0.1. Every failure of these functions fails the test. */
int client_connect(uint16_t port);
void client_send(int fd, const void *data, size_t size);
void client_send_text(int fd, const char *text);

/* Reads one final response (interim ones are skipped); free with client_response_free. */
void client_read(int fd, bool to_head, struct client_response *ret_response);

/* The same for text sent just before. */
void client_exchange(int fd, const char *text, struct client_response *ret_response);

/* As client_exchange; returns the status and drops the rest. */
int client_ask(int fd, const char *text);

/* True when the server closes without sending more. */
bool client_sees_end(int fd);

/* The value of a field in the head, NULL when it is not there; the caller's to free. */
char *client_field(const struct client_response *response, const char *name);

void client_response_free(struct client_response *response);

#endif
