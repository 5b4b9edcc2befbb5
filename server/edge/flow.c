#include "server/edge/flow.h"

#include "server/edge/loop.h"

#include <string.h>

void edge_flows_init(struct edge_flows *flows)
{
    memset(flows, 0, sizeof(*flows));
    TAILQ_INIT(&flows->turns);
    for (size_t i = 0; i < EDGE_FLOWS; i++) {
        TAILQ_INIT(&flows->table[i].whole);
        TAILQ_INIT(&flows->table[i].arriving);
    }
}

/* FNV-1a, 64 bits: the secret in front is what makes its buckets unknown. */
static uint64_t hash_bytes(uint64_t hash, const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* What names the client: a credential, else the address. */
static struct edge_span client_name(const struct edge_head *head, const char *client)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct edge_field *field = &head->fields[i];

        if (edge_span_equal(field->name, EDGE_SPAN("Authorization")) ||
            edge_span_equal(field->name, EDGE_SPAN("X-API-Key")))
            return field->value;
    }
    return (struct edge_span){client, strlen(client)};
}

struct edge_flow *edge_flow_find(struct edge_flows *flows, const char *secret,
                                 const struct edge_head *head, const char *client)
{
    struct edge_span name = client_name(head, client);
    uint64_t hash = hash_bytes(UINT64_C(0xcbf29ce484222325), secret, strlen(secret));

    hash = hash_bytes(hash, name.data, name.size);
    return &flows->table[(hash ^ hash >> 32) % EDGE_FLOWS];
}

static struct edge_conns *queue_of(const struct edge_conn *conn)
{
    return conn->request.body_done ? &conn->flow->whole : &conn->flow->arriving;
}

void edge_flow_add(struct edge_flows *flows, struct edge_conn *conn)
{
    struct edge_flow *flow = conn->flow;

    TAILQ_INSERT_TAIL(queue_of(conn), conn, queue_link);
    if (!flow->in_turn)
        TAILQ_INSERT_TAIL(&flows->turns, flow, turn);
    flow->in_turn = true;
}

void edge_flow_remove(struct edge_flows *flows, struct edge_conn *conn)
{
    struct edge_flow *flow = conn->flow;

    TAILQ_REMOVE(queue_of(conn), conn, queue_link);
    if (!TAILQ_EMPTY(&flow->whole) || !TAILQ_EMPTY(&flow->arriving))
        return;
    TAILQ_REMOVE(&flows->turns, flow, turn);
    flow->in_turn = false;
}

void edge_flow_serve(struct edge_flows *flows, struct edge_conn *conn)
{
    struct edge_flow *flow = conn->flow;

    edge_flow_remove(flows, conn);
    if (!flow->in_turn)
        return;
    TAILQ_REMOVE(&flows->turns, flow, turn);
    TAILQ_INSERT_TAIL(&flows->turns, flow, turn);
}

/* In a flow the one that has waited longest, of the kinds allowed. */
static struct edge_conn *first_of(const struct edge_flow *flow, bool whole, bool arriving)
{
    struct edge_conn *a = whole ? TAILQ_FIRST(&flow->whole) : NULL;
    struct edge_conn *b = arriving ? TAILQ_FIRST(&flow->arriving) : NULL;

    if (a && b)
        return a->queue_number < b->queue_number ? a : b;
    return a ? a : b;
}

struct edge_conn *edge_flow_next(const struct edge_flows *flows, unsigned most, bool whole,
                                 bool arriving)
{
    for (const struct edge_flow *flow = TAILQ_FIRST(&flows->turns); flow;
         flow = TAILQ_NEXT(flow, turn)) {
        struct edge_conn *conn = flow->attached < most ? first_of(flow, whole, arriving) : NULL;

        if (conn)
            return conn;
    }
    return NULL;
}
