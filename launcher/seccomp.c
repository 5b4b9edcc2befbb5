#include "launcher/seccomp.h"

#include "launcher/seccomp_policy.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/launcher_proto.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { PROGRAM_BYTES_MAX = 64 * 1024, SOCKET_FAMILIES = 64 };

DEFINE_CLEANUP(scmp_filter_ctx, seccomp, seccomp_release)
#define _cleanup_seccomp_ _cleanup_(cleanup_seccomp)

/* Rules return 0 or a negative errno, as libseccomp's functions do. */
static int add_rows(scmp_filter_ctx filter, uint32_t action, const struct seccomp_row *rows,
                    size_t count, unsigned scope)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(rows[i].name);
        int failure;

        /* Another machine's call, or one that this libseccomp does not know: refused anyway. */
        if (!(rows[i].scope & scope) || number < 0)
            continue;
        failure = seccomp_rule_add(filter, action, number, 0);
        if (failure < 0)
            return failure;
    }
    return 0;
}

static int add_clone(scmp_filter_ctx filter)
{
    unsigned all = 0;

    for (size_t i = 0; i < seccomp_clone_refused_count; i++) {
        unsigned flag = seccomp_clone_refused[i];
        int failure = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                       SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));

        if (failure < 0)
            return failure;
        all |= flag;
    }
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, all, 0));
}

static bool family_allowed(int family)
{
    for (size_t i = 0; i < seccomp_families_count; i++)
        if (seccomp_families[i] == family)
            return true;
    return false;
}

static int add_family(scmp_filter_ctx filter, int family)
{
    int failure;

    if (!family_allowed(family))
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    if (family != AF_NETLINK)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                               SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0));
    if (failure < 0)
        return failure;
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
                            SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0), SCMP_A2(SCMP_CMP_GT, 0, 0));
}

static int add_sockets(scmp_filter_ctx filter)
{
    int failure;

    /* libseccomp compares an argument once in a rule, so "none of these" is spelled out. */
    for (int family = 0; family < SOCKET_FAMILIES; family++) {
        failure = add_family(filter, family);
        if (failure < 0)
            return failure;
    }
    failure = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                               SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    return failure;
}

/*
 * A few instructions in front of libseccomp's: ioctl requests are compared in their low 32 bits,
 * as the kernel reads them; libseccomp compares 64, and a request with high bits set would pass
 * (CVE-2019-10063). Jumps in BPF are relative, so that a program may be put in front of another.
 */
static size_t ioctl_prefix(struct sock_filter prefix[static 16])
{
    size_t count = seccomp_ioctl_refused_count;
    size_t used = 0;
    unsigned char past = (unsigned char)(count + 1); /* from the first comparison to the end */
    const unsigned low = offsetof(struct seccomp_data, args) + sizeof(uint64_t) +
                         (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);

    prefix[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    prefix[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(),
                                                  0, (unsigned char)(past + 3));
    prefix[used++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    prefix[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0,
                                                  (unsigned char)(past + 1));
    prefix[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low);
    for (size_t i = 0; i < count; i++) {
        bool last = i + 1 == count;

        prefix[used++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, seccomp_ioctl_refused[i], (unsigned char)(count - 1 - i),
            (unsigned char)(last ? 1 : 0));
    }
    prefix[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    return used;
}

static int export_program(scmp_filter_ctx filter, struct seccomp_program *ret_program,
                          struct error *err)
{
    _cleanup_close_ int file = memfd_create("seccomp", MFD_CLOEXEC);
    struct sock_filter *code;
    struct sock_filter prefix[16];
    size_t prefix_bytes = ioctl_prefix(prefix) * sizeof(prefix[0]);
    struct stat status;
    size_t bytes;
    int failure;

    if (file < 0)
        return error_set_errno(err, errno, "cannot make a file for a filter");
    failure = seccomp_export_bpf(filter, file);
    if (failure < 0)
        return error_set_errno(err, -failure, "cannot export a filter");
    if (fstat(file, &status) < 0 || status.st_size <= 0 || status.st_size > PROGRAM_BYTES_MAX)
        return error_set(err, ERR_INTERNAL, "an exported filter has an impossible size");
    bytes = (size_t)status.st_size;
    code = malloc(prefix_bytes + bytes);
    if (!code)
        return error_set_errno(err, ENOMEM, "cannot keep a filter");
    memcpy(code, prefix, prefix_bytes);
    if (pread(file, (char *)code + prefix_bytes, bytes, 0) != status.st_size) {
        free(code);
        return error_set_errno(err, EIO, "cannot read a filter back");
    }
    ret_program->code.len = (unsigned short)((prefix_bytes + bytes) / sizeof(prefix[0]));
    ret_program->code.filter = code;
    return 0;
}

/* What sandbox and launcher have in common, with the rows of `scope`. */
static int build(unsigned scope, struct seccomp_program *ret_program, struct error *err)
{
    _cleanup_seccomp_ scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int failure;

    if (!filter)
        return error_set(err, ERR_INTERNAL, "cannot start a filter");
    failure = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (failure == 0) /* a binary tree: loading emulates the filter for every system call */
        failure = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (failure == 0)
        failure = add_rows(filter, SCMP_ACT_ALLOW, seccomp_allowed, seccomp_allowed_count, scope);
    if (failure == 0)
        failure = add_rows(filter, SCMP_ACT_ERRNO(EPERM), seccomp_refused, seccomp_refused_count,
                           scope & SECCOMP_LAUNCHER ? SECCOMP_LAUNCHER : scope);
    if (failure == 0)
        failure = scope & SECCOMP_LAUNCHER
                      ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0)
                      : add_clone(filter);
    if (failure == 0)
        failure = add_sockets(filter);
    if (failure < 0)
        return error_set_errno(err, -failure, "cannot build a system-call filter");
    return export_program(filter, ret_program, err);
}

int seccomp_build_sandbox(unsigned profile, struct seccomp_program *ret_program, struct error *err)
{
    return build(profile == LAUNCHER_PROFILE_DEV ? SECCOMP_DEV : SECCOMP_STRICT, ret_program, err);
}

int seccomp_build_launcher(struct seccomp_program *ret_program, struct error *err)
{
    /* Sandboxes inherit it, and the strictest of two filters decides: so all that either profile
     * may do is in it. */
    return build(SECCOMP_LAUNCHER | SECCOMP_SANDBOX, ret_program, err);
}

int seccomp_load_program(const struct seccomp_program *program)
{
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program->code);
}

void seccomp_program_free(struct seccomp_program *program)
{
    free(program->code.filter);
    program->code.filter = NULL;
}
