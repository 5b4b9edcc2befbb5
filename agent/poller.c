#include "agent/poller.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

static int epoll_fd = -1;

static struct epoll_event make_event(enum poller_source source, uint32_t index, uint32_t events)
{
    return (struct epoll_event){
        .events = events,
        .data.u64 = (uint64_t)index << 8 | (uint64_t)source,
    };
}

int poller_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? errno : 0;
}

int poller_add(int fd, enum poller_source source, uint32_t index, uint32_t events)
{
    struct epoll_event event = make_event(source, index, events);

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? errno : 0;
}

void poller_set_listener(int fd, uint32_t events)
{
    struct epoll_event event = make_event(POLLER_LISTENER, 0, events);

    (void)epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

void poller_remove(int fd)
{
    (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int poller_wait(struct poller_event events[POLLER_BATCH], int timeout_ms)
{
    struct epoll_event batch[POLLER_BATCH];
    int count = epoll_wait(epoll_fd, batch, POLLER_BATCH, timeout_ms);

    for (int i = 0; i < count; i++) {
        events[i] = (struct poller_event){
            .source = (enum poller_source)(batch[i].data.u64 & 0xff),
            .index = (uint32_t)(batch[i].data.u64 >> 8),
            .events = batch[i].events,
        };
    }
    return count < 0 ? 0 : count;
}
