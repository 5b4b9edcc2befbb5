#include "launcher/privileges.h"

#include "lib/base/util.h"

#include <atoll/launcher_proto.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (1ull << (capability))

/* Mounts and namespaces (SYS_CHROOT: the host's, for mkfs.ext4), ids, device nodes, files of
 * others, signals, loopback, the OOM score, the agents' priority. */
static const uint64_t launcher_set =
    BIT(CAP_SYS_ADMIN) | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_MKNOD) |
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) |
    BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_RESOURCE) |
    BIT(CAP_SYS_CHROOT) | BIT(CAP_SYS_NICE);

/* What the agent itself works with; it empties them before user code in `strict`. */
static const uint64_t agent_set = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) |
                                  BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_SETGID) |
                                  BIT(CAP_SETUID) | BIT(CAP_SETPCAP);

/* What user code may have on top in `dev`. */
static const uint64_t dev_set =
    BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) | BIT(CAP_AUDIT_WRITE);

static uint64_t profile_set(unsigned profile)
{
    return profile == LAUNCHER_PROFILE_DEV ? agent_set | dev_set : agent_set;
}

/* Drops from the bounding set what is not in `keep`; numbers the kernel lacks end the loop. */
static int drop_bounding(uint64_t keep)
{
    for (unsigned capability = 0; capability < 64; capability++) {
        if (keep & BIT(capability))
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return errno == EINVAL ? 0 : -1;
    }
    return 0;
}

static int set_capabilities(uint64_t wanted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    uint64_t permitted;

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    wanted &= permitted; /* a host may have taken some from root */
    for (unsigned i = 0; i < 2; i++) {
        data[i].permitted = (uint32_t)(wanted >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, data);
}

int privileges_raise(void)
{
    return set_capabilities(launcher_set);
}

int privileges_trim(struct error *err)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
        drop_bounding(launcher_set) < 0 || set_capabilities(launcher_set) < 0)
        return error_set_errno(err, errno, "cannot trim the capabilities");
    return 0;
}

int privileges_drop_bounding(unsigned profile)
{
    return drop_bounding(profile_set(profile));
}

int privileges_keep_agent(unsigned profile)
{
    return set_capabilities(profile_set(profile));
}
