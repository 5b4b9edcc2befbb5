#include "server/services/transfers.h"

#include "server/services/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LARGE = TRANSFER_SMALL_MAX + 1 };

static void test_each_tenant_has_places_of_its_own(void **state)
{
    const struct config config = {.server_max_transfers = 2};
    const struct caller one = {.tenant = {{1}}};
    const struct caller two = {.tenant = {{2}}};
    struct transfer_place places[4] = {0};
    struct services services = {.config = &config};
    struct error err;

    (void)state;
    assert_int_equal(places_create(&services.transfers, &err), 0);
    assert_int_equal(transfer_enter(&services, &one, LARGE, &places[0], &err), 0);
    assert_int_equal(transfer_enter(&services, &one, TRANSFER_SIZE_UNKNOWN, &places[1], &err), 0);
    assert_int_equal(transfer_enter(&services, &one, LARGE, &places[2], &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    transfer_leave(&places[2]); /* none */
    assert_int_equal(transfer_enter(&services, &two, LARGE, &places[2], &err), 0);
    transfer_leave(&places[0]);
    assert_int_equal(transfer_enter(&services, &one, LARGE, &places[0], &err), 0);
    for (size_t i = 0; i < 4; i++)
        transfer_leave(&places[i]);
    places_free(services.transfers);
}

static void test_a_small_body_needs_no_place(void **state)
{
    const struct config config = {.server_max_transfers = 1};
    const struct caller caller = {.tenant = {{1}}};
    struct transfer_place place = {.places = NULL};
    struct services services = {.config = &config};
    struct error err;

    (void)state;
    assert_int_equal(places_create(&services.transfers, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(transfer_enter(&services, &caller, TRANSFER_SMALL_MAX, &place, &err), 0);
        assert_null(place.places);
    }
    places_free(services.transfers);
}

static void test_many_tenants_at_once(void **state)
{
    const struct config config = {.server_max_transfers = 1};
    struct transfer_place places[100] = {0};
    struct services services = {.config = &config};
    struct error err;

    (void)state;
    assert_int_equal(places_create(&services.transfers, &err), 0);
    for (uint8_t i = 0; i < 100; i++) {
        const struct caller caller = {.tenant = {{i, 1}}};

        assert_int_equal(transfer_enter(&services, &caller, LARGE, &places[i], &err), 0);
    }
    for (uint8_t i = 0; i < 100; i++)
        transfer_leave(&places[i]);
    for (uint8_t i = 0; i < 100; i++) {
        const struct caller caller = {.tenant = {{i, 1}}};

        assert_int_equal(transfer_enter(&services, &caller, LARGE, &places[i], &err), 0);
    }
    places_free(services.transfers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_tenant_has_places_of_its_own),
        cmocka_unit_test(test_a_small_body_needs_no_place),
        cmocka_unit_test(test_many_tenants_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
