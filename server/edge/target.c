#include "server/edge/target.h"

#include "lib/base/util.h"

#include <string.h>

static bool is_name_char(char character)
{
    return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z') || character == '-' || character == '.' ||
           character == '_';
}

/* Returns the size of the name or address at the start, 0 when there is none. */
static size_t host_name_size(struct edge_span host)
{
    size_t i = 0;

    if (host.size > 0 && host.data[0] == '[') {
        for (i = 1; i < host.size && host.data[i] != ']'; i++)
            if (hex_value(host.data[i]) < 0 && host.data[i] != ':' && host.data[i] != '.')
                return 0;
        return i > 1 && i < host.size ? i + 1 : 0;
    }
    while (i < host.size && is_name_char(host.data[i]))
        i++;
    return i;
}

static bool port_is_valid(struct edge_span port)
{
    uint64_t value;

    return port.size <= 5 && edge_length_parse(port, &value) && value <= 65535;
}

int edge_host_check(struct edge_span host, struct error *err)
{
    size_t size = host_name_size(host);
    struct edge_span rest = {host.data + size, host.size - size};

    if (host.size > EDGE_HOST_MAX || size == 0)
        return error_set(err, ERR_BAD_REQUEST, "Host is not a host name or address");
    if (rest.size == 0)
        return 0;
    if (rest.data[0] != ':' || !port_is_valid((struct edge_span){rest.data + 1, rest.size - 1}))
        return error_set(err, ERR_BAD_REQUEST, "Host is not a host name or address");
    return 0;
}

/* Decodes the byte at `*inout_at` and steps over it; -1 for malformed percent-encoding. */
static int decoded_byte(struct edge_span text, size_t *inout_at)
{
    size_t at = *inout_at;
    int high;
    int low;

    if (text.data[at] != '%') {
        *inout_at = at + 1;
        return (unsigned char)text.data[at];
    }
    if (text.size - at < 3)
        return -1;
    high = hex_value(text.data[at + 1]);
    low = hex_value(text.data[at + 2]);
    if (high < 0 || low < 0)
        return -1;
    *inout_at = at + 3;
    return high * 16 + low;
}

/* Plain bytes: visible ASCII. A fragment never belongs into a request. */
static int check_plain(struct edge_span target, struct error *err)
{
    for (size_t i = 0; i < target.size; i++) {
        unsigned char byte = (unsigned char)target.data[i];

        if (byte <= 0x20 || byte >= 0x7f || byte == '#')
            return error_set(err, ERR_BAD_REQUEST, "the request target holds a forbidden byte");
    }
    return 0;
}

static int check_byte(int byte, struct error *err)
{
    if (byte < 0)
        return error_set(err, ERR_BAD_REQUEST, "the percent-encoding is malformed");
    if (byte < 0x20 || byte == 0x7f)
        return error_set(err, ERR_BAD_REQUEST, "the target encodes NUL or a control character");
    return 0;
}

static int check_query(struct edge_span query, struct error *err)
{
    for (size_t i = 0; i < query.size;)
        if (check_byte(decoded_byte(query, &i), err) < 0)
            return -1;
    return 0;
}

static int check_path(struct edge_span path, struct error *err)
{
    size_t length = 0; /* decoded bytes of the current segment */
    size_t dots = 0;

    for (size_t i = 0; i < path.size;) {
        bool encoded = path.data[i] == '%';
        int byte = decoded_byte(path, &i);

        if (check_byte(byte, err) < 0)
            return -1;
        if (byte == '\\' || (byte == '/' && encoded))
            return error_set(err, ERR_BAD_REQUEST, "the path holds a disguised separator");
        if (byte != '/') {
            length++;
            dots += byte == '.' ? 1 : 0;
        }
        if (byte != '/' && i < path.size)
            continue;
        if (length > 0 && length <= 2 && dots == length)
            return error_set(err, ERR_BAD_REQUEST, "the path has a `.` or `..` segment");
        length = 0;
        dots = 0;
    }
    return 0;
}

/* Cuts scheme and authority off; the authority has to be the one that Host names. */
static int to_origin_form(struct edge_span target, struct edge_span host,
                          struct edge_span *ret_target, struct error *err)
{
    static const struct edge_span scheme = {"http://", 7};
    struct edge_span rest;
    size_t size = 0;

    if (target.size < scheme.size ||
        !edge_span_equal((struct edge_span){target.data, scheme.size}, scheme))
        return error_set(err, ERR_BAD_REQUEST, "the request target is not a path");
    rest = (struct edge_span){target.data + scheme.size, target.size - scheme.size};
    while (size < rest.size && rest.data[size] != '/' && rest.data[size] != '?')
        size++;
    if (!edge_span_equal((struct edge_span){rest.data, size}, host))
        return error_set(err, ERR_BAD_REQUEST, "the request target and Host name two hosts");
    rest = (struct edge_span){rest.data + size, rest.size - size};
    if (rest.size == 0)
        rest = EDGE_SPAN("/");
    if (rest.data[0] != '/')
        return error_set(err, ERR_BAD_REQUEST, "the request target has no path");
    *ret_target = rest;
    return 0;
}

int edge_target_parse(struct edge_span target, struct edge_span host, struct edge_span *ret_target,
                      struct error *err)
{
    struct edge_span origin = target;
    const char *mark;
    size_t path_size;

    if (target.size == 0 || target.size > EDGE_TARGET_MAX)
        return error_set(err, ERR_BAD_REQUEST, "the request target is empty or over %d bytes",
                         EDGE_TARGET_MAX);
    if (check_plain(target, err) < 0)
        return -1;
    if (target.data[0] != '/' && to_origin_form(target, host, &origin, err) < 0)
        return -1;
    mark = memchr(origin.data, '?', origin.size);
    path_size = mark ? (size_t)(mark - origin.data) : origin.size;
    if (check_path((struct edge_span){origin.data, path_size}, err) < 0 ||
        check_query((struct edge_span){origin.data + path_size, origin.size - path_size}, err) < 0)
        return -1;
    *ret_target = origin;
    return 0;
}
