#include "lib/runtime/agent_client.h"

#include "lib/base/util.h"
#include "lib/runtime/agent_answer.h"
#include "lib/runtime/agent_client_private.h"
#include "lib/runtime/agent_request.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A path that does not fit sun_path goes through a descriptor of its folder (unix(7)). */
static int make_address(const char *path, struct sockaddr_un *address, int *ret_folder_fd,
                        struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = strlen(path);
    char folder[AGENT_PATH_MAX];
    int fd;

    address->sun_family = AF_UNIX;
    if (length < sizeof(address->sun_path)) {
        memcpy(address->sun_path, path, length + 1);
        return 0;
    }
    if (!slash || (size_t)(slash - path) >= sizeof(folder))
        return error_set_errno(err, ENAMETOOLONG, "cannot use the agent's socket");
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "cannot open the agent's folder");
    *ret_folder_fd = fd;
    if (snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%s", fd, slash) >=
        (int)sizeof(address->sun_path))
        return error_set_errno(err, ENAMETOOLONG, "cannot use the agent's socket");
    return 0;
}

/* A full backlog is EAGAIN on a non-blocking socket; a blocking one waits as long as SO_SNDTIMEO
 * says (unix(7), socket(7)). */
static int connect_by(int fd, const struct sockaddr_un *address, int64_t deadline_usec)
{
    int left = deadline_left_ms(deadline_usec);
    struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000L};

    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return 0;
    if (errno != EAGAIN)
        return -1;
    if (left == 0 || fcntl(fd, F_SETFL, 0) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        return -1;
    return connect(fd, (const struct sockaddr *)address, sizeof(*address));
}

int agent_client_adopt(int fd, struct agent_client **ret_client, struct error *err)
{
    struct agent_client *client = malloc(sizeof(*client));

    if (!client) {
        close(fd);
        return error_set_errno(err, ENOMEM, "cannot make a client of the agent");
    }
    /* Not zeroed as a whole: the buffer is large and mostly unused. */
    client->channel.fd = fd;
    client->channel.lost = false;
    client->channel.late = false;
    client->channel.broken = false;
    client->channel.buffer.start = 0;
    client->channel.buffer.end = 0;
    *ret_client = client;
    return 0;
}

int agent_client_connect(const char *path, int64_t deadline_usec, struct agent_client **ret_client,
                         struct error *err)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    _cleanup_close_ int folder_fd = -1;
    struct sockaddr_un address = {0};

    if (fd < 0)
        return error_set_errno(err, errno, "cannot make a socket");
    if (make_address(path, &address, &folder_fd, err) < 0)
        return -1;
    if (connect_by(fd, &address, deadline_usec) < 0)
        return error_set(err, ERR_UNAVAILABLE, "cannot reach the sandbox's agent: %s",
                         strerrordesc_np(errno));
    return agent_client_adopt(TAKE_FD(fd), ret_client, err);
}

void agent_client_free(struct agent_client *client)
{
    if (!client)
        return;
    close(client->channel.fd);
    free(client);
}

bool agent_client_lost(const struct agent_client *client)
{
    return client->channel.lost;
}

bool agent_client_idle(const struct agent_client *client)
{
    const struct agent_channel *channel = &client->channel;
    char byte;

    return !channel->broken && !channel->lost && channel->buffer.start == channel->buffer.end &&
           recv(channel->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Hands the collected output over with what else is known of the command. */
static int fill_result(struct agent_conversation *conversation, struct agent_exec_result result,
                       struct agent_exec_result *ret_result, struct error *err)
{
    if (agent_collected_take(&conversation->out, &result.out, &result.out_size, err) < 0)
        return -1;
    if (agent_collected_take(&conversation->err, &result.err, &result.err_size, err) < 0) {
        agent_exec_result_free(&result);
        return -1;
    }
    *ret_result = result;
    return 0;
}

static struct agent_exec_result ended_result(const struct agent_exit_message *message)
{
    int status = (int)message->status;

    return (struct agent_exec_result){
        .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .timed_out = (message->flags & AGENT_EXIT_TIMED_OUT) != 0,
        .out_truncated = (message->flags & AGENT_EXIT_STDOUT_TRUNCATED) != 0,
        .err_truncated = (message->flags & AGENT_EXIT_STDERR_TRUNCATED) != 0,
        .wall_usec = message->wall_usec,
        .user_usec = message->user_usec,
        .system_usec = message->system_usec,
        .max_rss_bytes = message->max_rss_bytes,
    };
}

static struct agent_exec_result overdue_result(void)
{
    return (struct agent_exec_result){
        .overdue = true,
        .exit_code = -1,
        .out_truncated = true,
        .err_truncated = true,
    };
}

/* True when only the command's end was not told by the deadline. */
static bool is_overdue(const struct agent_client *client,
                       const struct agent_conversation *conversation)
{
    return client->channel.late && !conversation->failed &&
           conversation->files_answered == conversation->file_count;
}

static struct agent_collected collected_of(const struct agent_exec_request *request)
{
    return (struct agent_collected){
        .max = request->max_output,
        .take_memory = request->take_memory,
        .memory_user = request->memory_user,
    };
}

int agent_client_run(struct agent_client *client, const struct sandbox_files *files,
                     const struct agent_owner *owner, const struct agent_exec_request *request,
                     int64_t deadline_usec, struct agent_exec_result *ret_result, struct error *err)
{
    _cleanup_(agent_outgoing_free) struct agent_outgoing outgoing = {0};
    _cleanup_(agent_conversation_free) struct agent_conversation conversation = {
        .files = files ? files->items : NULL,
        .file_count = files ? files->count : 0,
        .has_exec = true,
        .out = collected_of(request),
        .err = collected_of(request),
    };
    const struct agent_notice slow = {
        .call = request->on_slow,
        .user = request->slow_user,
        .after_usec = (int64_t)request->slow_ms * 1000,
    };

    if (files && agent_request_writes(&outgoing, files, owner, err) < 0)
        return -1;
    if (agent_request_exec(&outgoing, request, files ? files->count : 0, err) < 0)
        return -1;
    if (agent_channel_exchange_noticed(&client->channel, &outgoing, agent_conversation_reply,
                                       &conversation, deadline_usec, slow.call ? &slow : NULL,
                                       err) < 0)
        return is_overdue(client, &conversation)
                   ? fill_result(&conversation, overdue_result(), ret_result, err)
                   : -1;
    if (conversation.failed) {
        *err = conversation.failure;
        return -1;
    }
    return fill_result(&conversation, ended_result(&conversation.exit), ret_result, err);
}

int agent_client_exec(struct agent_client *client, const struct agent_exec_request *request,
                      int64_t deadline_usec, struct agent_exec_result *ret_result,
                      struct error *err)
{
    return agent_client_run(client, NULL, NULL, request, deadline_usec, ret_result, err);
}

void agent_exec_result_free(struct agent_exec_result *result)
{
    free(result->out);
    free(result->err);
    *result = (struct agent_exec_result){0};
}
