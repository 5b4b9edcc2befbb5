#include "lib/base/address.h"

#include "lib/base/util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static const char *const refused[] = {
    /* The first and the last of each range. */
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.192",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::2",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::192.168.1.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:fbf0:3f57:fe",
    "2001:1ff:ffff::1",
    "2001:db8::1",
    "2002::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "4000::1",
    "fc00::",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
};

static const char *const allowed[] = {
    /* The neighbours of each range. */
    "1.0.0.0",        "9.255.255.255",   "11.0.0.0",
    "100.63.255.255", "100.128.0.0",     "126.255.255.255",
    "128.0.0.0",      "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0",      "192.0.1.0",
    "192.0.3.0",      "192.88.98.255",   "192.167.255.255",
    "192.169.0.0",    "198.17.255.255",  "198.20.0.0",
    "203.0.114.0",    "223.255.255.255", "168.63.129.17",
    "8.8.8.8",        "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8",
    "2000::1",        "2001:200::1",     "2001:4860:4860::8888",
    "2003::1",        "2600::1",         "3ffe::1",
};

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage storage = {.ss_family = AF_INET};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        return storage;
    storage.ss_family = AF_INET6;
    assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    return storage;
}

static void test_special_addresses_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct sockaddr_storage address = address_of(refused[i]);

        if (!address_refusal((struct sockaddr *)&address) || !address_text_refusal(refused[i]))
            fail_msg("%s is allowed", refused[i]);
    }
}

static void test_public_addresses_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        struct sockaddr_storage address = address_of(allowed[i]);
        const char *refusal = address_refusal((struct sockaddr *)&address);

        if (refusal || address_text_refusal(allowed[i]))
            fail_msg("%s is refused: %s", allowed[i], refusal);
    }
}

static void test_the_word_says_what_it_is(void **state)
{
    (void)state;
    assert_string_equal(address_text_refusal("127.0.0.1"), "loopback");
    assert_string_equal(address_text_refusal("::ffff:127.0.0.1"), "loopback");
    assert_string_equal(address_text_refusal("fd00:ec2::254"), "private");
}

static void test_other_families_are_refused(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)state;
    assert_non_null(address_refusal((struct sockaddr *)&address));
}

static void test_a_name_is_no_address(void **state)
{
    (void)state;
    assert_null(address_text_refusal("localhost"));
    assert_null(address_text_refusal("127.1"));
}

static void test_loopback_hosts(void **state)
{
    static const char *const yes[] = {"localhost", "127.0.0.1", "127.1.2.3", "::1"};
    static const char *const no[] = {
        "0.0.0.0",    "::",    "10.0.0.1", "128.0.0.1", "127.0.0.1.example.org",
        "localhost.", "127.1", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        assert_true(host_is_loopback(yes[i]));
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        assert_false(host_is_loopback(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_special_addresses_are_refused),
        cmocka_unit_test(test_public_addresses_are_not),
        cmocka_unit_test(test_the_word_says_what_it_is),
        cmocka_unit_test(test_other_families_are_refused),
        cmocka_unit_test(test_a_name_is_no_address),
        cmocka_unit_test(test_loopback_hosts),
    };

    return cmocka_run_group_tests_name("base/address", tests, NULL, NULL);
}
