/*
 * The policy as data, and the built filters run over made-up calls by a small interpreter of the
 * few BPF instructions that seccomp takes.
 */
#include "launcher/seccomp.h"
#include "launcher/seccomp_policy.h"

#include <atoll/launcher_proto.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

static struct seccomp_program strict, dev, launcher;

static int build_filters(void **state)
{
    struct error err;

    (void)state;
    return seccomp_build_sandbox(LAUNCHER_PROFILE_STRICT, &strict, &err) < 0 ||
                   seccomp_build_sandbox(LAUNCHER_PROFILE_DEV, &dev, &err) < 0 ||
                   seccomp_build_launcher(&launcher, &err) < 0
               ? -1
               : 0;
}

static int free_filters(void **state)
{
    (void)state;
    seccomp_program_free(&strict);
    seccomp_program_free(&dev);
    seccomp_program_free(&launcher);
    return 0;
}

static size_t jump(const struct sock_filter *op, uint32_t a)
{
    bool taken;

    switch (BPF_OP(op->code)) {
    case BPF_JA:
        return op->k;
    case BPF_JEQ:
        taken = a == op->k;
        break;
    case BPF_JGT:
        taken = a > op->k;
        break;
    case BPF_JGE:
        taken = a >= op->k;
        break;
    default:
        assert_int_equal(BPF_OP(op->code), BPF_JSET);
        taken = (a & op->k) != 0;
        break;
    }
    return taken ? op->jt : op->jf;
}

static uint32_t run(const struct seccomp_program *program, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t i = 0; i < program->code.len; i++) {
        const struct sock_filter *op = &program->code.filter[i];

        switch (BPF_CLASS(op->code)) {
        case BPF_LD:
            assert_true(op->k + 4 <= sizeof(*data));
            memcpy(&a, (const char *)data + op->k, sizeof(a));
            break;
        case BPF_ALU:
            assert_int_equal(BPF_OP(op->code), BPF_AND);
            a &= op->k;
            break;
        case BPF_JMP:
            i += jump(op, a);
            break;
        case BPF_RET:
            return op->k;
        default:
            fail_msg("unexpected instruction %#x", op->code);
        }
    }
    fail_msg("the filter ends without an answer");
    return 0;
}

static uint32_t call(const struct seccomp_program *program, int number, uint64_t a0, uint64_t a1,
                     uint64_t a2)
{
    const struct seccomp_data data = {
        .nr = number, .arch = seccomp_arch_native(), .args = {a0, a1, a2}};

    return run(program, &data);
}

#define ERRNO(number) (SECCOMP_RET_ERRNO | (number))

static void names_each_call_once(void **state)
{
    (void)state;
    for (size_t i = 1; i < seccomp_allowed_count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seccomp_allowed[i].name, seccomp_allowed[j].name);
    for (size_t i = 0; i < seccomp_refused_count; i++)
        for (size_t j = 0; j < seccomp_allowed_count; j++)
            if (strcmp(seccomp_refused[i].name, seccomp_allowed[j].name) == 0)
                assert_int_equal(seccomp_refused[i].scope & seccomp_allowed[j].scope, 0);
}

/* Judged by an argument: each has a test of its own. */
static bool is_judged(int number)
{
    return number == SYS_ioctl || number == SYS_socket || number == SYS_socketpair ||
           number == SYS_clone || number == SYS_setsockopt;
}

static uint32_t answer_of_rows(unsigned scope, int number)
{
    for (size_t i = 0; i < seccomp_allowed_count; i++)
        if (seccomp_allowed[i].scope & scope &&
            seccomp_syscall_resolve_name(seccomp_allowed[i].name) == number)
            return SECCOMP_RET_ALLOW;
    for (size_t i = 0; i < seccomp_refused_count; i++)
        if (seccomp_refused[i].scope & scope &&
            seccomp_syscall_resolve_name(seccomp_refused[i].name) == number)
            return ERRNO(EPERM);
    return ERRNO(ENOSYS);
}

static void answers_every_call_as_its_row_says(void **state)
{
    static const int far[] = {1023, 1024, 1025, 65536, 0x3fffffff, -1};

    (void)state;
    for (int number = 0; number < 1200; number++) {
        if (is_judged(number))
            continue;
        assert_int_equal(call(&strict, number, 0, 0, 0), answer_of_rows(SECCOMP_STRICT, number));
        assert_int_equal(call(&dev, number, 0, 0, 0), answer_of_rows(SECCOMP_DEV, number));
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        assert_int_equal(call(&strict, far[i], 0, 0, 0), ERRNO(ENOSYS));
}

static void refuses_what_leads_out(void **state)
{
    static const int with_eperm[] = {
        SYS_mount,       SYS_umount2, SYS_pivot_root, SYS_unshare,           SYS_setns,
        SYS_ptrace,      SYS_bpf,     SYS_mknod,      SYS_perf_event_open,   SYS_kexec_load,
        SYS_quotactl,    SYS_syslog,  SYS_reboot,     SYS_open_by_handle_at, SYS_init_module,
        SYS_pidfd_getfd,
    };
    static const int with_enosys[] = {
        SYS_clone3,   SYS_io_uring_setup, SYS_keyctl,      SYS_add_key,           SYS_userfaultfd,
        SYS_fsopen,   SYS_move_mount,     SYS_open_tree,   SYS_vmsplice,          SYS_memfd_secret,
        SYS_fsconfig, SYS_mount_setattr,  SYS_request_key, SYS_name_to_handle_at, SYS_io_setup,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(with_eperm) / sizeof(with_eperm[0]); i++) {
        assert_int_equal(call(&strict, with_eperm[i], 0, 0, 0), ERRNO(EPERM));
        assert_int_equal(call(&dev, with_eperm[i], 0, 0, 0), ERRNO(EPERM));
    }
    for (size_t i = 0; i < sizeof(with_enosys) / sizeof(with_enosys[0]); i++)
        assert_int_equal(call(&strict, with_enosys[i], 0, 0, 0), ERRNO(ENOSYS));
    assert_int_equal(call(&strict, 4000, 0, 0, 0), ERRNO(ENOSYS));
}

static void differs_in_dev_by_chroot(void **state)
{
    (void)state;
    assert_int_equal(call(&strict, SYS_chroot, 0, 0, 0), ERRNO(EPERM));
    assert_int_equal(call(&dev, SYS_chroot, 0, 0, 0), SECCOMP_RET_ALLOW);
    for (int number = 0; number < 500; number++)
        if (number != SYS_chroot)
            assert_int_equal(call(&strict, number, 0, 0, 0), call(&dev, number, 0, 0, 0));
}

static void refuses_new_namespaces_by_clone(void **state)
{
    static const uint64_t flags[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                     CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};

    (void)state;
    assert_int_equal(call(&strict, SYS_clone, 17, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(call(&strict, SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0),
                     SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        assert_int_equal(call(&strict, SYS_clone, flags[i] | 17, 0, 0), ERRNO(EPERM));
        assert_int_equal(call(&strict, SYS_clone, flags[i] | 1ull << 40, 0, 0), ERRNO(EPERM));
        assert_int_equal(call(&launcher, SYS_clone, flags[i], 0, 0), SECCOMP_RET_ALLOW);
    }
}

static void gives_four_socket_families(void **state)
{
    (void)state;
    for (uint64_t family = 0; family < 64; family++) {
        uint32_t answer = call(&strict, SYS_socket, family, SOCK_STREAM, 0);
        bool allowed =
            family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;

        assert_int_equal(answer, allowed ? SECCOMP_RET_ALLOW : ERRNO(EAFNOSUPPORT));
    }
    assert_int_equal(call(&strict, SYS_socket, AF_NETLINK, SOCK_RAW, 9), ERRNO(EPROTONOSUPPORT));
    /* The kernel reads 32 bits, so the bits above them do not lead past the list. */
    assert_int_equal(call(&strict, SYS_socket, AF_PACKET | 1ull << 32, SOCK_STREAM, 0),
                     ERRNO(EAFNOSUPPORT));
    assert_int_equal(call(&strict, SYS_socket, AF_NETLINK, SOCK_RAW, 9 | 1ull << 32),
                     ERRNO(EPROTONOSUPPORT));
    assert_int_equal(call(&strict, SYS_socket, UINT64_MAX, SOCK_STREAM, 0), ERRNO(EAFNOSUPPORT));
    assert_int_not_equal(call(&strict, SYS_socketpair, AF_INET, SOCK_STREAM, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(call(&strict, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(call(&strict, SYS_socketpair, AF_PACKET | 1ull << 32, SOCK_STREAM, 0),
                     ERRNO(ENOSYS));
}

static void refuses_terminal_injection_whatever_the_high_bits(void **state)
{
    const struct seccomp_program *const programs[] = {&strict, &dev, &launcher};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(call(programs[i], SYS_ioctl, 0, TIOCSTI, 0), ERRNO(EPERM));
        assert_int_equal(call(programs[i], SYS_ioctl, 0, 0x541C, 0), ERRNO(EPERM));
        assert_int_equal(call(programs[i], SYS_ioctl, 0, TIOCSTI | 1ull << 32, 0), ERRNO(EPERM));
        assert_int_equal(call(programs[i], SYS_ioctl, 0, 0x541C | 1ull << 63, 0), ERRNO(EPERM));
        assert_int_equal(call(programs[i], SYS_ioctl, 0, TIOCGWINSZ, 0), SECCOMP_RET_ALLOW);
        /* The numbers mean that only as an ioctl's request. */
        assert_int_equal(call(programs[i], SYS_read, 0, TIOCSTI, 0), SECCOMP_RET_ALLOW);
    }
}

static void refuses_programs_of_sockets_whatever_the_high_bits(void **state)
{
    static const uint64_t options[] = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF,
                                       SO_ATTACH_REUSEPORT_EBPF};

    (void)state;
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        assert_int_equal(call(&strict, SYS_setsockopt, 3, SOL_SOCKET, options[i]), ERRNO(EPERM));
        assert_int_equal(call(&dev, SYS_setsockopt, 3, SOL_SOCKET, options[i]), ERRNO(EPERM));
        assert_int_equal(
            call(&strict, SYS_setsockopt, 3, SOL_SOCKET | 1ull << 32, options[i] | 1ull << 32),
            ERRNO(EPERM));
        /* The numbers mean that only at that level. */
        assert_int_equal(call(&strict, SYS_setsockopt, 3, IPPROTO_TCP, options[i]),
                         SECCOMP_RET_ALLOW);
    }
    assert_int_equal(call(&strict, SYS_setsockopt, 3, SOL_SOCKET, SO_REUSEADDR), SECCOMP_RET_ALLOW);
}

static void kills_foreign_machines(void **state)
{
    const struct seccomp_data i386 = {.nr = 1, .arch = SCMP_ARCH_X86};

    (void)state;
    assert_int_equal(run(&strict, &i386), SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
    assert_int_equal(call(&strict, 0x40000000 | SYS_read, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(call(&strict, 0x40000000, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(call(&strict, -2, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
#endif
}

/* The strictest of two stacked filters decides, so the launcher's must allow all of a sandbox's. */
static void lets_the_launcher_do_all_that_a_sandbox_may(void **state)
{
    static const int needed[] = {SYS_clone3,     SYS_mount,    SYS_fsopen, SYS_move_mount,
                                 SYS_pivot_root, SYS_unshare,  SYS_setns,  SYS_mknodat,
                                 SYS_open_tree,  SYS_fsconfig, SYS_fsmount};

    (void)state;
    for (int number = 0; number < 500; number++)
        if (call(&dev, number, 0, 0, 0) == SECCOMP_RET_ALLOW ||
            call(&strict, number, 0, 0, 0) == SECCOMP_RET_ALLOW)
            assert_int_equal(call(&launcher, number, 0, 0, 0), SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        assert_int_equal(call(&launcher, needed[i], 0, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(call(&launcher, SYS_ptrace, 0, 0, 0), ERRNO(EPERM));
    assert_int_equal(call(&launcher, SYS_bpf, 0, 0, 0), ERRNO(EPERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_each_call_once),
        cmocka_unit_test(answers_every_call_as_its_row_says),
        cmocka_unit_test(refuses_what_leads_out),
        cmocka_unit_test(differs_in_dev_by_chroot),
        cmocka_unit_test(refuses_new_namespaces_by_clone),
        cmocka_unit_test(gives_four_socket_families),
        cmocka_unit_test(refuses_terminal_injection_whatever_the_high_bits),
        cmocka_unit_test(refuses_programs_of_sockets_whatever_the_high_bits),
        cmocka_unit_test(kills_foreign_machines),
        cmocka_unit_test(lets_the_launcher_do_all_that_a_sandbox_may),
    };

    return cmocka_run_group_tests_name("launcher/seccomp", tests, build_filters, free_filters);
}
