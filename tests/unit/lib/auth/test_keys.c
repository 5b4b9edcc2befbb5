#include "lib/auth/keys.h"
#include "tests/unit/lib/auth/token_maker.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct maker maker;

static int setup(void **state)
{
    (void)state;
    maker_create(&maker);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    maker_destroy(&maker);
    return 0;
}

static void assert_refused(struct auth_key_files files, const char *because)
{
    struct auth_keys *keys = NULL;
    struct error err = {0};

    assert_int_equal(auth_keys_load(&files, &keys, &err), -1);
    assert_null(keys);
    assert_non_null(strstr(err.message, because));
}

static void test_secret_without_its_newline(void **state)
{
    struct auth_key_files files = {.hs256 = maker.hs256_path, .rs256 = ""};
    struct auth_keys *keys = NULL;

    (void)state;
    assert_int_equal(auth_keys_load(&files, &keys, NULL), 0);
    assert_int_equal(keys->count, 1);
    assert_int_equal(keys->items[0].algorithm, AUTH_HS256);
    assert_int_equal(keys->items[0].size, 32);
    assert_memory_equal(keys->items[0].bytes, MAKER_SECRET, 32);
    auth_keys_free(keys);
}

static void test_no_key(void **state)
{
    (void)state;
    assert_refused((struct auth_key_files){0}, "no key");
    assert_refused((struct auth_key_files){.hs256 = "/nonexistent/key"}, "/nonexistent/key");
}

static void test_short_secret(void **state)
{
    char path[96];

    (void)state;
    /* 31 bytes and the newline that does not count. */
    maker_file(&maker, "other", "0123456789abcdef0123456789abcde\n", path);
    assert_refused((struct auth_key_files){.hs256 = path}, "at least 32 bytes");
    maker_file(&maker, "other", "", path);
    assert_refused((struct auth_key_files){.hs256 = path}, "at least 32 bytes");
}

static void test_keys_in_the_wrong_place(void **state)
{
    (void)state;
    assert_refused((struct auth_key_files){.hs256 = maker.rs256_path}, "not a PEM file");
    assert_refused((struct auth_key_files){.rs256 = maker.es256_path}, "RSA key");
    assert_refused((struct auth_key_files){.es256 = maker.rs256_path}, "P-256");
    assert_refused((struct auth_key_files){.rs256 = maker.hs256_path}, "no public key");
}

static void test_weak_keys(void **state)
{
    EVP_PKEY *rsa = EVP_RSA_gen(1024);
    EVP_PKEY *ec = EVP_EC_gen("P-384");
    char path[96];
    FILE *file;

    (void)state;
    maker_file(&maker, "other", "", path);
    file = fopen(path, "we");
    assert_int_equal(PEM_write_PUBKEY(file, rsa), 1);
    (void)fclose(file);
    assert_refused((struct auth_key_files){.rs256 = path}, "2048 bits");
    file = fopen(path, "we");
    assert_int_equal(PEM_write_PUBKEY(file, ec), 1);
    (void)fclose(file);
    assert_refused((struct auth_key_files){.es256 = path}, "P-256");
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_without_its_newline),
        cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_short_secret),
        cmocka_unit_test(test_keys_in_the_wrong_place),
        cmocka_unit_test(test_weak_keys),
    };

    return cmocka_run_group_tests_name("lib/auth/keys", tests, setup, teardown);
}
