/* agent/privs.c - from root, or from what the service manager gave, to two capabilities. */
#include "agent/privs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/log.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))

static const uint64_t kept_caps = CAP_BIT(CAP_NET_ADMIN) | CAP_BIT(CAP_NET_RAW);

struct caps {
	uint64_t effective, permitted, inheritable;
};

/* -- the kernel's calls; libc has none -------------------------------------------------------- */

static int caps_get(struct caps *ret)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	*ret = (struct caps){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
		.inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32,
	};
	return 0;
}

static int caps_set(const struct caps *caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ (uint32_t)caps->effective, (uint32_t)caps->permitted,
			(uint32_t)caps->inheritable },
		{ (uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32),
			(uint32_t)(caps->inheritable >> 32) },
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static bool has(unsigned cap)
{
	struct caps caps;

	return caps_get(&caps) == 0 && caps.effective & CAP_BIT(cap);
}

bool privs_has_net_admin(void)
{
	return has(CAP_NET_ADMIN);
}

bool privs_has_net_raw(void)
{
	return has(CAP_NET_RAW);
}

/* -- steps ------------------------------------------------------------------------------------ */

static int hand_over_entry(int dir, const char *name, const struct passwd *user)
{
	_auto_close_ int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* A second name may lie anywhere, and then this is not ours to give away. */
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || st.st_nlink != 1)
		return 0;
	return fchownat(fd, "", user->pw_uid, user->pw_gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The directory and the files in it: a key that root generated, what a run as root left. */
static int hand_over(const char *path, const struct passwd *user)
{
	_auto_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	struct stat st;
	DIR *entries;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != 0 && st.st_uid != user->pw_uid)
		return 0;
	entries = opendir(path);
	while (entries && r == 0 && (entry = readdir(entries)))
		r = hand_over_entry(fd, entry->d_name, user);
	if (entries)
		closedir(entries);
	if (r == 0 && st.st_uid == 0 && fchown(fd, user->pw_uid, user->pw_gid) < 0)
		r = -errno;
	return r;
}

/* Leaves the capabilities permitted, for the next step. */
static int become(const struct passwd *user)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) < 0)
		return -errno;
	if (setgroups(1, &user->pw_gid) < 0 ||
		setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return -errno;
	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0)
		return -errno;
	if (ruid != user->pw_uid || euid != ruid || suid != ruid || rgid != user->pw_gid ||
		egid != rgid || sgid != rgid)
		return -EPERM;
	return prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

/* Needs CAP_SETPCAP, so it comes before the user changes. Without it the set stays, which costs
 * nothing as long as nothing is executed and no_new_privs holds. */
static int reduce_bounding_set(void)
{
	struct caps caps;
	int r = caps_get(&caps);

	if (r < 0)
		return r;
	if (!(caps.effective & CAP_BIT(CAP_SETPCAP)))
		return 0;
	for (unsigned long cap = 0; cap < 64; cap++) {
		int present = prctl(PR_CAPBSET_READ, cap, 0L, 0L, 0L);

		if (present < 0) /* beyond the kernel's last one */
			break;
		if (!present || kept_caps & CAP_BIT(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0L, 0L, 0L) < 0 ||
			prctl(PR_CAPBSET_READ, cap, 0L, 0L, 0L) != 0)
			return -EPERM;
	}
	return 0;
}

static int clear_ambient(void)
{
	if (prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) < 0)
		return -errno;
	for (unsigned long cap = 0; cap < 64; cap++) {
		int present = prctl(
			PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_IS_SET, cap, 0L, 0L);

		if (present < 0)
			break;
		if (present)
			return -EPERM;
	}
	return 0;
}

/* A service manager that gave us just these may forbid capset: then what it left inheritable stays,
 * which nothing inherits without ambient ones. */
static int reduce_caps(void)
{
	struct caps caps, now;
	int set, r = caps_get(&caps);

	if (r < 0)
		return r;
	caps.permitted &= kept_caps;
	caps.effective = caps.permitted;
	caps.inheritable = 0;
	set = caps_set(&caps);
	r = caps_get(&now);
	if (r < 0)
		return r;
	if (now.permitted != caps.permitted || now.effective != caps.effective ||
		now.inheritable & ~(set < 0 ? kept_caps : 0))
		return set < 0 ? set : -EPERM;
	return clear_ambient();
}

/* Both where the service manager did it and forbids it, and where nobody did. */
static int forbid_cores(void)
{
	struct rlimit none = { 0, 0 }, now;

	if (setrlimit(RLIMIT_CORE, &none) == 0)
		return 0;
	if (getrlimit(RLIMIT_CORE, &now) < 0)
		return -errno;
	return now.rlim_cur || now.rlim_max ? -EPERM : 0;
}

/* No core file and no debugger gets at the keys. After the change of user, which resets this. */
static int seal(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ||
		prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0)
		return -errno;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) != 1 ||
		prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) != 0)
		return -EPERM;
	return forbid_cores();
}

static int change_user(const char *name, const char *const *dirs)
{
	const struct passwd *user;
	int r = 0;

	if (!has(CAP_SETUID) || !has(CAP_SETGID)) {
		log_warn("may not become user %s, staying root with two capabilities", name);
		return 0;
	}
	user = getpwnam(name);
	if (!user) {
		log_warn("there is no user %s, staying root with two capabilities", name);
		return 0;
	}
	for (; dirs && *dirs && r == 0; dirs++) {
		r = hand_over(*dirs, user);
		if (r < 0)
			log_error_errno(r, "cannot hand %s over to user %s", *dirs, name);
	}
	return r < 0 ? r : become(user);
}

int privs_drop(const char *user, const char *const *chown_dirs)
{
	int r;

	r = reduce_bounding_set();
	if (r < 0)
		return r;
	if (geteuid() == 0) {
		r = change_user(user, chown_dirs);
		if (r < 0)
			return r;
	}
	r = reduce_caps();
	if (r < 0)
		return r;
	return seal();
}

const char *privs_describe(char *buf, size_t len)
{
	const struct passwd *user = getpwuid(geteuid());
	const char *admin = privs_has_net_admin() ? " CAP_NET_ADMIN" : "";
	const char *raw = privs_has_net_raw() ? " CAP_NET_RAW" : "";

	if (user)
		snprintf(buf, len, "user %s,", user->pw_name);
	else
		snprintf(buf, len, "user %u,", (unsigned)geteuid());
	g_strlcat(buf, *admin || *raw ? admin : " no capabilities", len);
	g_strlcat(buf, raw, len);
	return buf;
}
