#include "server/edge/reply.h"

#include "server/http/problem.h"

#include <atoll/cleanup.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_MAX = 8 * 1024 };

static bool write_problem(struct edge_loop *loop, struct edge_buffer *output, const char *id,
                          bool to_head, const struct error *error)
{
    _cleanup_free_ char *text = problem_format(error, id);
    int status = error_code_status(error->code);

    return text && edge_buffer_printf(output, EDGE_OUTPUT_MAX + REPLY_MAX,
                                      "HTTP/1.1 %d %s\r\n"
                                      "Date: %s\r\n"
                                      "X-Request-Id: %s\r\n"
                                      "X-Content-Type-Options: nosniff\r\n"
                                      "Cache-Control: no-store\r\n"
                                      "Connection: close\r\n"
                                      "%s"
                                      "Content-Type: " PROBLEM_MEDIA_TYPE "\r\n"
                                      "Content-Length: %zu\r\n"
                                      "\r\n"
                                      "%s",
                                      status, problem_status_text(status), edge_loop_date(loop), id,
                                      status == 503 ? "Retry-After: 1\r\n" : "", strlen(text),
                                      to_head ? "" : text);
}

bool edge_reply_problem(struct edge_conn *conn, const struct error *error)
{
    return write_problem(conn->loop, &conn->output, conn->request.id, conn->request.to_head, error);
}

bool edge_reply_options(struct edge_conn *conn)
{
    return edge_buffer_printf(&conn->output, EDGE_OUTPUT_MAX + REPLY_MAX,
                              "HTTP/1.1 204 No Content\r\n"
                              "Date: %s\r\n"
                              "X-Request-Id: %s\r\n"
                              "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
                              "%s"
                              "\r\n",
                              edge_loop_date(conn->loop), conn->request.id,
                              conn->request.keep_alive ? "" : "Connection: close\r\n");
}

void edge_reply_overload(struct edge_loop *loop, int fd)
{
    struct edge_buffer output = {0};
    char id[EDGE_LINK_REQUEST_ID_SIZE];
    struct error err;

    edge_loop_request_id(loop, id);
    (void)error_set(&err, ERR_UNAVAILABLE, "too many connections");
    if (write_problem(loop, &output, id, false, &err))
        (void)send(fd, edge_buffer_bytes(&output), edge_buffer_used(&output),
                   MSG_NOSIGNAL | MSG_DONTWAIT);
    edge_buffer_release(&output);
    close(fd);
}
