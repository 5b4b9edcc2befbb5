#include "lib/base/address.h"

#include "lib/base/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

/* The address of another family inside one of version 6 stands at its end (RFC 4291, 6052). */
enum { EMBEDDED_AT = 12 };

struct range {
    const char *refusal;
    unsigned bits;      /* of the prefix */
    bool embeds_v4;     /* decided by the IPv4 address in it */
    uint8_t prefix[16]; /* in network order */
};

static const struct range v4_ranges[] = {
    {.bits = 8, .prefix = {0}, .refusal = "unspecified"},
    {.bits = 8, .prefix = {10}, .refusal = "private"},
    {.bits = 10, .prefix = {100, 64}, .refusal = "shared by a carrier"},
    {.bits = 8, .prefix = {127}, .refusal = "loopback"},
    {.bits = 16, .prefix = {169, 254}, .refusal = "link-local"}, /* metadata: 169.254.169.254 */
    {.bits = 12, .prefix = {172, 16}, .refusal = "private"},
    {.bits = 24, .prefix = {192, 0, 0}, .refusal = "reserved"},
    {.bits = 24, .prefix = {192, 0, 2}, .refusal = "for documentation"},
    {.bits = 24, .prefix = {192, 88, 99}, .refusal = "reserved"}, /* 6to4 relays, RFC 7526 */
    {.bits = 16, .prefix = {192, 168}, .refusal = "private"},
    {.bits = 15, .prefix = {198, 18}, .refusal = "for benchmarks"},
    {.bits = 24, .prefix = {198, 51, 100}, .refusal = "for documentation"},
    {.bits = 24, .prefix = {203, 0, 113}, .refusal = "for documentation"},
    {.bits = 4, .prefix = {224}, .refusal = "multicast"},
    {.bits = 4, .prefix = {240}, .refusal = "reserved"}, /* 255.255.255.255 among them */
    {.bits = 32, .prefix = {168, 63, 129, 16}, .refusal = "of a cloud's platform"}, /* Azure */
};

/* The first that fits decides; beyond 2000::/3 nothing is public. */
static const struct range v6_ranges[] = {
    {.bits = 128, .prefix = {0}, .refusal = "unspecified"},
    {.bits = 128, .prefix = {[15] = 1}, .refusal = "loopback"},
    {.bits = 96, .prefix = {[10] = 0xff, [11] = 0xff}, .embeds_v4 = true},
    {.bits = 96, .prefix = {0, 0x64, 0xff, 0x9b}, .embeds_v4 = true}, /* NAT64, RFC 6052 */
    {.bits = 7, .prefix = {0xfc}, .refusal = "private"},              /* fd00:ec2::254 among them */
    {.bits = 10, .prefix = {0xfe, 0x80}, .refusal = "link-local"},
    {.bits = 8, .prefix = {0xff}, .refusal = "multicast"},
    {.bits = 23, .prefix = {0x20, 0x01}, .refusal = "reserved"}, /* Teredo, ORCHID, benchmarks */
    {.bits = 32, .prefix = {0x20, 0x01, 0x0d, 0xb8}, .refusal = "for documentation"},
    {.bits = 16, .prefix = {0x20, 0x02}, .refusal = "reserved"}, /* 6to4 */
    {.bits = 20, .prefix = {0x3f, 0xff}, .refusal = "for documentation"},
    {.bits = 3, .prefix = {0x20}, .refusal = NULL},
    {.bits = 0, .prefix = {0}, .refusal = "reserved"},
};

static bool in_range(const struct range *range, const uint8_t *address)
{
    unsigned whole = range->bits / 8;
    unsigned rest = range->bits % 8;

    return memcmp(address, range->prefix, whole) == 0 &&
           (rest == 0 || ((address[whole] ^ range->prefix[whole]) >> (8 - rest)) == 0);
}

static const char *v4_refusal(const uint8_t *address)
{
    for (size_t i = 0; i < ARRAY_SIZE(v4_ranges); i++)
        if (in_range(&v4_ranges[i], address))
            return v4_ranges[i].refusal;
    return NULL;
}

static const char *v6_refusal(const uint8_t *address)
{
    const struct range *range = v6_ranges;

    while (!in_range(range, address)) /* the last one holds every address */
        range++;
    return range->embeds_v4 ? v4_refusal(address + EMBEDDED_AT) : range->refusal;
}

const char *address_refusal(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, address, sizeof(v4));
        return v4_refusal((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, address, sizeof(v6));
        return v6_refusal(v6.sin6_addr.s6_addr);
    }
    return "not of the Internet";
}

const char *address_text_refusal(const char *text)
{
    uint8_t address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, text, address) == 1)
        return v4_refusal(address);
    return inet_pton(AF_INET6, text, address) == 1 ? v6_refusal(address) : NULL;
}

bool host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
