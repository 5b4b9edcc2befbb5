/*
 * The event loop of the edge and what it owns: sockets, deadlines, the pool of upstream
 * connections and the queue before it. Everything here belongs to the edge's one thread, but for
 * the atomics.
 *
 * Sockets are watched edge-triggered for everything, once; `readable` and `writable` remember what
 * the kernel said last, so that no call is made that must fail and no interest has to be changed.
 *
 * Ownership: the loop owns connections and upstreams. Closing one takes it off all lists at once
 * and frees it when the current batch of events is done, so an event of the same batch never meets
 * freed memory.
 */
#ifndef SERVER_EDGE_LOOP_H
#define SERVER_EDGE_LOOP_H

#include "server/edge/buffer.h"
#include "server/edge/chunked.h"
#include "server/edge/edge.h"
#include "server/edge/flow.h"
#include "server/edge/head.h"
#include "server/http/link.h"
#include "server/stream/stream.h"

#include <stdatomic.h>
#include <sys/queue.h>

enum {
    EDGE_INPUT_MAX = 32 * 1024,        /* of a client's unparsed bytes; holds the largest head */
    EDGE_REQUEST_HEAD_MAX = 48 * 1024, /* of a head as the HTTP layer gets it */
    EDGE_BODY_MAX = 64 * 1024,         /* a body up to this size is collected whole */
    EDGE_OUTPUT_MAX = 64 * 1024,       /* of an answer that the client has not taken */
    EDGE_FRAMING_MAX = 64,             /* room for chunk framing on top of a buffer's limit */
    EDGE_DATE_SIZE = 30,               /* IMF-fixdate, RFC 9110 section 5.6.7 */
};

enum edge_source_kind {
    EDGE_SOURCE_LISTENER,
    EDGE_SOURCE_WAKE,
    EDGE_SOURCE_STREAMS,
    EDGE_SOURCE_CONN,
    EDGE_SOURCE_UPSTREAM,
};

/* What an epoll event points to; first member of its owner. */
struct edge_source {
    enum edge_source_kind kind;
    int fd;
};

/* A connection has at most one deadline. All of a kind last equally long, so lists suffice. */
enum edge_timer {
    EDGE_TIMER_NONE,
    EDGE_TIMER_IDLE,    /* between requests */
    EDGE_TIMER_REQUEST, /* from a request's first byte to its last, or to a transfer's next */
    EDGE_TIMER_QUEUE,   /* waiting for an upstream */
    EDGE_TIMER_WRITE,   /* the client takes none of its answer */
    EDGE_TIMER_STREAM,  /* nothing was sent of a stream */
    EDGE_TIMER_LINGER,  /* the answer was sent; waiting for the client to close */
    EDGE_TIMER_COUNT,
};

enum edge_conn_state {
    EDGE_CONN_HEAD,     /* idle, or reading a head */
    EDGE_CONN_BODY,     /* collecting a body */
    EDGE_CONN_QUEUED,   /* waiting for an upstream */
    EDGE_CONN_EXCHANGE, /* attached to an upstream */
    EDGE_CONN_STREAM,   /* the answer is a stream */
    EDGE_CONN_FLUSH,    /* the last bytes of an answer are going out */
    EDGE_CONN_LINGER,
    EDGE_CONN_CLOSED,
};

struct edge_upstream {
    struct edge_source source;
    struct edge_loop *loop;
    struct edge_conn *conn; /* NULL: idle or draining */
    struct edge_flow *flow; /* that holds it; NULL: idle */
    bool readable;
    bool writable;
    bool ended;    /* it sends no more; what it sent may still have to be read */
    bool draining; /* its client went away; the thread behind it is busy until it closes */
    struct edge_buffer input;
    TAILQ_ENTRY(edge_upstream) link; /* idle, busy or dead */
};

/* The request in progress. */
struct edge_request {
    char id[EDGE_LINK_REQUEST_ID_SIZE];
    bool http_1_0;
    bool keep_alive; /* the client's connection serves another request afterwards */
    bool to_head;
    bool upgraded; /* the connection has become a WebSocket */
    enum edge_framing framing;
    uint64_t length;    /* of a LENGTH body */
    uint64_t received;  /* payload so far */
    uint64_t max_bytes; /* the limit when the request began */
    struct edge_chunked decoder;
    bool body_done;   /* the body has arrived whole */
    bool streaming;   /* it did not when an upstream was taken */
    bool transfer;    /* its deadline is of each piece, not of the whole */
    bool send_broken; /* the upstream takes no more of it */
};

/* The answer in progress. */
struct edge_answer {
    bool head_done;
    bool done;
    bool reuse; /* the upstream takes another request */
    enum edge_framing framing;
    uint64_t remaining; /* of a LENGTH body */
    struct edge_chunked decoder;
};

struct edge_conn {
    struct edge_source source;
    struct edge_loop *loop;
    enum edge_conn_state state;
    bool readable;
    bool writable;
    bool input_ended; /* the client sends no more */
    char client[EDGE_LINK_CLIENT_SIZE];
    size_t scanned; /* of `input`, by edge_head_scan */
    struct edge_request request;
    struct edge_answer answer;
    struct edge_flow *flow; /* of the request */
    struct edge_upstream *upstream;
    struct stream *stream;     /* of state STREAM */
    struct edge_buffer input;  /* from the client */
    struct edge_buffer head;   /* to the upstream */
    struct edge_buffer body;   /* to the upstream */
    struct edge_buffer output; /* to the client */
    enum edge_timer timer;
    int64_t since; /* when the timer was set, monotonic microseconds */
    bool deferred; /* on the list of those that go on in the next turn */
    uint64_t queue_number;
    TAILQ_ENTRY(edge_conn) timer_link;
    TAILQ_ENTRY(edge_conn) queue_link;
    TAILQ_ENTRY(edge_conn) deferred_link;
};

TAILQ_HEAD(edge_upstreams, edge_upstream);

struct edge_loop {
    int epoll_fd;
    int spare_fd; /* given up to accept and close one when descriptors run out */
    struct edge_source listener;
    struct edge_source wake;
    struct edge_source stream_wake; /* the streams' own descriptor */
    struct streams *streams;        /* NULL: there are none */
    int64_t now;                    /* monotonic microseconds, once a turn */
    atomic_bool stopping;
    atomic_int_least64_t stop_deadline;
    atomic_uint_least64_t max_body_bytes;
    atomic_uint_least64_t max_transfer_bytes;
    atomic_uint_least32_t request_timeout_ms;
    atomic_uint_least32_t idle_timeout_ms;
    bool (*is_transfer)(const char *method, size_t method_size, const char *target,
                        size_t target_size); /* NULL: none is */
    uint32_t queue_timeout_ms;
    uint32_t heartbeat_ms;
    uint16_t upstream_port;
    unsigned max_connections;
    unsigned upstreams_max;
    unsigned streaming_max; /* upstreams that unfinished bodies may hold */
    unsigned flow_max;      /* upstreams that one flow may hold */
    unsigned max_queued;
    char secret[EDGE_SECRET_SIZE];
    struct edge_conns timers[EDGE_TIMER_COUNT]; /* each connection is on one of them */
    struct edge_conns deferred;
    struct edge_conns dead;
    unsigned connections;
    struct edge_flows flows; /* with the requests that wait */
    unsigned queued;
    uint64_t next_queue_number;
    struct edge_upstreams idle;
    struct edge_upstreams busy; /* attached or draining */
    struct edge_upstreams dead_upstreams;
    unsigned open_upstreams;
    unsigned streaming;
    int64_t date_second;
    char date[EDGE_DATE_SIZE];
    unsigned char random[512];
    size_t random_left;
};

/* Watches a socket for everything, edge-triggered. */
int edge_loop_watch(struct edge_loop *loop, struct edge_source *source);

/* Runs until edge_stop has asked for the end and nothing is left, or its deadline has passed. */
void edge_loop_run(struct edge_loop *loop);

void edge_loop_set_timer(struct edge_conn *conn, enum edge_timer timer);

/* Lets a connection go on in the next turn: because its turn was long, or an upstream is free. */
void edge_loop_defer(struct edge_conn *conn);

/* The current time as an HTTP date. */
const char *edge_loop_date(struct edge_loop *loop);

/* 16 random hex digits. */
void edge_loop_request_id(struct edge_loop *loop, char ret_id[static EDGE_LINK_REQUEST_ID_SIZE]);

#endif
