#include "tests/unit/server/edge/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000, BODY_MAX = 64 * 1024 * 1024 };

int client_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void client_send(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        assert_true(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

void client_send_text(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

static size_t receive(int fd, void *data, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    ssize_t n;

    assert_int_equal(poll(&poll_fd, 1, PATIENCE_MS), 1);
    do
        n = recv(fd, data, size, 0);
    while (n < 0 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

static void read_line(int fd, char *line, size_t size)
{
    size_t used = 0;

    while (used < 2 || memcmp(line + used - 2, "\r\n", 2) != 0) {
        assert_true(used + 1 < size);
        assert_int_equal(receive(fd, line + used, 1), 1);
        used++;
    }
    line[used] = '\0';
}

static void read_head(int fd, struct client_response *response)
{
    size_t used = 0;

    do {
        used = 0;
        do {
            read_line(fd, response->head + used, sizeof(response->head) - used);
            used += strlen(response->head + used);
        } while (used < 4 || strcmp(response->head + used - 4, "\r\n\r\n") != 0);
        assert_int_equal(strncmp(response->head, "HTTP/1.1 ", 9), 0);
        response->status = atoi(response->head + 9);
    } while (response->status == 100);
}

static void read_bytes(int fd, struct client_response *response, size_t size)
{
    size_t end = response->body_size + size;

    assert_true(end <= BODY_MAX);
    response->body = realloc(response->body, end + 1);
    assert_non_null(response->body);
    while (response->body_size < end) {
        size_t n = receive(fd, response->body + response->body_size, end - response->body_size);

        assert_true(n > 0);
        response->body_size += n;
    }
    response->body[end] = '\0';
}

static void read_chunks(int fd, struct client_response *response)
{
    char line[64];
    size_t size;

    do {
        read_line(fd, line, sizeof(line));
        size = strtoul(line, NULL, 16);
        read_bytes(fd, response, size);
        read_line(fd, line, sizeof(line));
        assert_string_equal(line, "\r\n");
    } while (size > 0);
}

void client_read(int fd, bool to_head, struct client_response *ret_response)
{
    struct client_response response = {0};
    char *length;
    char *coding;

    read_head(fd, &response);
    length = client_field(&response, "Content-Length");
    coding = client_field(&response, "Transfer-Encoding");
    if (to_head || response.status == 204)
        read_bytes(fd, &response, 0);
    else if (coding)
        read_chunks(fd, &response);
    else
        read_bytes(fd, &response, length ? strtoul(length, NULL, 10) : 0);
    free(length);
    free(coding);
    *ret_response = response;
}

void client_exchange(int fd, const char *text, struct client_response *ret_response)
{
    client_send_text(fd, text);
    client_read(fd, false, ret_response);
}

int client_ask(int fd, const char *text)
{
    struct client_response response;
    int status;

    client_exchange(fd, text, &response);
    status = response.status;
    client_response_free(&response);
    return status;
}

bool client_sees_end(int fd)
{
    char byte;

    return receive(fd, &byte, 1) == 0;
}

char *client_field(const struct client_response *response, const char *name)
{
    size_t name_size = strlen(name);

    for (const char *line = strstr(response->head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_size) == 0 && strncmp(line + name_size, ": ", 2) == 0) {
            const char *value = line + name_size + 2;

            return strndup(value, strcspn(value, "\r"));
        }
    }
    return NULL;
}

void client_response_free(struct client_response *response)
{
    free(response->body);
    *response = (struct client_response){0};
}
