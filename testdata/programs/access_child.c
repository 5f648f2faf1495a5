// A process that changes its own credentials step by step, as its arguments say, and then waits to be
// read or reads. Used by crates/vmatlas-linux/tests/it/access.rs.
//
//   groups=1,2 | groups=      supplementary groups
//   gid=R,E,S  uid=R,E,S      setresgid, setresuid
//   fsuid=U  fsgid=G          setfsuid, setfsgid
//   keepcaps                  permitted capabilities outlive the next uid=
//   caps=HEX                  effective = permitted = inheritable = ambient = HEX
//   effective=HEX             the effective set alone
//   drop=N                    capability N leaves the bounding set
//   filecaps=HEX,PATH         file capabilities (permitted and effective) of PATH
//   dumpable=N                prctl(PR_SET_DUMPABLE)
//   userns                    unshare(CLONE_NEWUSER)
//   join=PATH                 setns into the user namespace PATH
//   map=ROWS                  own uid_map and gid_map: IN:OUT:LEN[,…]
//   landlock                  into a Landlock domain that restricts no file (TCP bind only)
//   landlockfs                into a Landlock domain that lets no file be read
//   mountns                   a private mount namespace
//   zombie                    a child that has exited, announced in place of this process
//   noleader                  the main thread exits, another stays
//   ready                     prints "ready PID" and waits for a line
//   open=PATH                 prints "open ERRNO BYTES" of opening and reading PATH
//   exec PROGRAM ARGS…        goes on as that program
#include "check.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP 1
#endif

static void set_caps(uint64_t effective, uint64_t permitted)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = effective >> 32 * i;
		data[i].permitted = data[i].inheritable = permitted >> 32 * i;
	}
	CHECK(syscall(SYS_capset, &head, data));
}

static void set_ambient(uint64_t caps)
{
	for (int n = 0; n < 64; n++)
		if (caps >> n & 1)
			CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0));
}

static void set_file_caps(uint64_t caps, const char *path)
{
	struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};

	data.data[0].permitted = caps;
	data.data[1].permitted = caps >> 32;
	CHECK(setxattr(path, "security.capability", &data, XATTR_CAPS_SZ_2, 0));
}

static void write_file(const char *path, const char *text)
{
	int fd;

	CHECK(fd = open(path, O_WRONLY));
	CHECK(write(fd, text, strlen(text)));
	close(fd);
}

static void set_map(char *rows)
{
	for (char *c = rows; *c; c++)
		*c = *c == ':' ? ' ' : *c == ',' ? '\n' : *c;
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", rows);
	write_file("/proc/self/gid_map", rows);
}

// A file right that is handled and not granted is refused everywhere.
static void restrict_self(uint64_t fs, uint64_t net)
{
	struct { uint64_t fs, net; } attr = {fs, net};
	int fd;

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0));
	CHECK(syscall(SYS_landlock_restrict_self, fd, 0));
	close(fd);
}

static void announce(pid_t pid)
{
	char line[16];

	printf("ready %d\n", pid);
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		_exit(0);
}

static void *announce_from_thread(void *leader)
{
	pthread_join(*(pthread_t *)leader, NULL);
	announce(getpid());
	_exit(0);
}

static void open_and_read(const char *path)
{
	static char buffer[1 << 16];
	ssize_t bytes = -1;
	int fd = open(path, O_RDONLY), error = fd < 0 ? errno : 0;

	if (fd >= 0) {
		bytes = read(fd, buffer, sizeof buffer);
		close(fd);
	}
	printf("open %d %zd\n", error, bytes);
	fflush(stdout);
}

static void three(const char *value, unsigned id[3])
{
	if (sscanf(value, "%u,%u,%u", id, id + 1, id + 2) != 3) {
		fprintf(stderr, "access_child: not three ids: %s\n", value);
		exit(2);
	}
}

static void set_groups(char *value)
{
	gid_t list[32];
	int count = 0;

	for (char *word = strtok(value, ","); word; word = strtok(NULL, ","))
		list[count++] = atoi(word);
	CHECK(setgroups(count, list));
}

int main(int argc, char **argv)
{
	static pthread_t leader;
	pthread_t other;
	unsigned id[3];
	pid_t pid;

	for (int i = 1; i < argc; i++) {
		char *word = strdup(argv[i]), *value = strchr(word, '=');
		uint64_t caps = 0;

		if (value) {
			*value++ = 0;
			caps = strtoull(value, NULL, 16);
		}
#define IS(name) (strcmp(word, name) == 0)
		if (IS("groups")) {
			set_groups(value);
		} else if (IS("gid")) {
			three(value, id);
			CHECK(setresgid(id[0], id[1], id[2]));
		} else if (IS("uid")) {
			three(value, id);
			CHECK(setresuid(id[0], id[1], id[2]));
		} else if (IS("fsuid")) {
			setfsuid(atoi(value));
		} else if (IS("fsgid")) {
			setfsgid(atoi(value));
		} else if (IS("keepcaps")) {
			CHECK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
		} else if (IS("caps")) {
			set_caps(caps, caps);
			set_ambient(caps);
		} else if (IS("effective")) {
			struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
			struct __user_cap_data_struct now[2];

			CHECK(syscall(SYS_capget, &head, now));
			set_caps(caps, now[0].permitted | (uint64_t)now[1].permitted << 32);
		} else if (IS("drop")) {
			CHECK(prctl(PR_CAPBSET_DROP, atoi(value), 0, 0, 0));
		} else if (IS("filecaps")) {
			set_file_caps(caps, strchr(value, ',') + 1);
		} else if (IS("dumpable")) {
			CHECK(prctl(PR_SET_DUMPABLE, atoi(value), 0, 0, 0));
		} else if (IS("userns")) {
			CHECK(unshare(CLONE_NEWUSER));
		} else if (IS("join")) {
			int fd = open(value, O_RDONLY);

			CHECK(fd);
			CHECK(setns(fd, CLONE_NEWUSER));
			close(fd);
		} else if (IS("map")) {
			set_map(value);
		} else if (IS("landlock")) {
			restrict_self(0, LANDLOCK_ACCESS_NET_BIND_TCP);
		} else if (IS("landlockfs")) {
			restrict_self(LANDLOCK_ACCESS_FS_READ_FILE, 0);
		} else if (IS("mountns")) {
			CHECK(unshare(CLONE_NEWNS));
			CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		} else if (IS("zombie")) {
			CHECK(pid = fork());
			if (pid == 0)
				_exit(0);
			CHECK(waitid(P_PID, pid, &(siginfo_t){0}, WEXITED | WNOWAIT));
			announce(pid);
		} else if (IS("noleader")) {
			leader = pthread_self();
			if (pthread_create(&other, NULL, announce_from_thread, &leader))
				return 2;
			pthread_exit(NULL);
		} else if (IS("ready")) {
			announce(getpid());
		} else if (IS("open")) {
			open_and_read(value);
		} else if (IS("exec")) {
			CHECK(execv(argv[i + 1], argv + i + 1));
		} else {
			fprintf(stderr, "access_child: what is %s?\n", argv[i]);
			return 2;
		}
	}
	return 0;
}
