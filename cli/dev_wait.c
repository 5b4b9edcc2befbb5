#include "cli/dev_wait.h"

#include "lib/base/util.h"
#include <atoll/launcher_proto.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A file appears a moment before its owner serves: after the event, look again this often. */
enum { LOOK_AGAIN_USEC = 10000, START_SECONDS = 60, HEALTH_TIMEOUT_MS = 2000 };

DEFINE_CLEANUP(CURL *, curl, curl_easy_cleanup)

/* What is waited for, where it shows, and what the message calls it. */
struct awaited {
    const char *folder;
    const char *name;
    bool (*served)(void *userdata);
    void *userdata;
};

static int watch_folder(const char *folder, int *ret_fd, struct error *err)
{
    _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0 || inotify_add_watch(fd, folder, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        return error_set_errno(err, errno, "watching %s", folder);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void drain(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0)
        ;
}

static int await(struct supervisor *supervisor, const struct awaited *awaited, bool *ret_stop,
                 struct error *err)
{
    int64_t end = monotonic_usec() + START_SECONDS * INT64_C(1000000);
    _cleanup_close_ int fd = -1;
    enum supervisor_event event = SUPERVISOR_TIMEOUT;

    if (watch_folder(awaited->folder, &fd, err) < 0)
        return -1;
    while (event != SUPERVISOR_STOP && !awaited->served(awaited->userdata)) {
        if (monotonic_usec() >= end)
            return error_set(err, ERR_INTERNAL, "the %s does not serve after %d s", awaited->name,
                             START_SECONDS);
        if (supervisor_wait(supervisor, fd, monotonic_usec() + LOOK_AGAIN_USEC, true, &event, err) <
            0)
            return -1;
        drain(fd);
    }
    *ret_stop = event == SUPERVISOR_STOP;
    return 0;
}

static bool launcher_serves(void *userdata)
{
    const char *run_dir = userdata;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/%s", run_dir, LAUNCHER_SOCKET_NAME);
    return fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
}

int dev_wait_launcher(struct supervisor *supervisor, const struct config *config, bool *ret_stop,
                      struct error *err)
{
    struct awaited awaited = {
        .folder = config->state_run_dir,
        .name = "launcher",
        .served = launcher_serves,
        .userdata = config->state_run_dir,
    };

    return await(supervisor, &awaited, ret_stop, err);
}

int dev_wait_url(const char *address, char url[static DEV_URL_SIZE])
{
    const char *colon = strrchr(address, ':');
    size_t host_length = colon ? (size_t)(colon - address) : 0;
    char host[256];
    uint64_t port;
    bool bare_v6;

    if (host_length == 0 || host_length >= sizeof(host) || !parse_u64(colon + 1, 65535, &port))
        return -1;
    memcpy(host, address, host_length);
    host[host_length] = '\0';
    /* A listener on every address is reached on loopback. */
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, "[::]") == 0)
        (void)snprintf(host, sizeof(host), "%s", host[0] == '0' ? "127.0.0.1" : "[::1]");
    bare_v6 = host[0] != '[' && strchr(host, ':');
    (void)snprintf(url, DEV_URL_SIZE, "http://%s%s%s:%u", bare_v6 ? "[" : "", host,
                   bare_v6 ? "]" : "", (unsigned)port);
    return 0;
}

struct server_probe {
    char folder[64];
    char path[96];
    char *url;
};

static void probe_init(struct server_probe *probe, const struct config *config)
{
    (void)snprintf(probe->folder, sizeof(probe->folder), "%s/server", config->state_run_dir);
    (void)snprintf(probe->path, sizeof(probe->path), "%s/address", probe->folder);
}

static size_t ignore_body(char *data, size_t size, size_t count, void *userdata)
{
    (void)data;
    (void)userdata;
    return size * count;
}

static bool health_is_good(const char *url)
{
    _cleanup_(cleanup_curl) CURL *curl = curl_easy_init();
    char target[DEV_URL_SIZE + 16];
    long status = 0;

    (void)snprintf(target, sizeof(target), "%s/health", url);
    if (!curl || curl_easy_setopt(curl, CURLOPT_URL, target) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)HEALTH_TIMEOUT_MS) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body) != CURLE_OK ||
        curl_easy_perform(curl) != CURLE_OK)
        return false;
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200;
}

static bool server_serves(void *userdata)
{
    struct server_probe *probe = userdata;
    _cleanup_free_ char *text = NULL;
    struct error ignored;
    size_t size;

    if (read_file(AT_FDCWD, probe->path, 512, &text, &size, &ignored) < 0)
        return false;
    text[strcspn(text, "\n")] = '\0';
    return dev_wait_url(text, probe->url) == 0 && health_is_good(probe->url);
}

int dev_wait_server(struct supervisor *supervisor, const struct config *config, bool *ret_stop,
                    char url[static DEV_URL_SIZE], struct error *err)
{
    struct server_probe probe = {.url = url};
    struct awaited awaited = {
        .folder = probe.folder,
        .name = "server",
        .served = server_serves,
        .userdata = &probe,
    };

    probe_init(&probe, config);
    return await(supervisor, &awaited, ret_stop, err);
}

int dev_wait_forget_server(const struct config *config, struct error *err)
{
    struct server_probe probe = {0};

    probe_init(&probe, config);
    if (unlink(probe.path) < 0 && errno != ENOENT)
        return error_set_errno(err, errno, "%s", probe.path);
    return 0;
}
