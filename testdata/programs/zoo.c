// zoo DIR: a process with one mapping of every sort, its files below DIR. Prints what the kernel
// refused as `no WHAT: WHY`, then `ready`, and waits. Used by crates/vmatlas-linux/tests/it/live.rs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { PAGE = 4096, R = PROT_READ, W = PROT_WRITE, X = PROT_EXEC };

static void *map(const char *what, size_t pages, int prot, int flags, int fd, off_t offset)
{
	void *start = fd == -1 && !(flags & MAP_ANONYMOUS)
			      ? MAP_FAILED
			      : mmap(NULL, pages * PAGE, prot, flags, fd, offset);
	if (start == MAP_FAILED)
		printf("no %s: %s\n", what, strerror(errno));
	return start;
}

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd == -1 || ftruncate(fd, 3 * PAGE) == -1) {
		perror(name);
		exit(1);
	}
	return fd;
}

static void file(const char *name)
{
	int fd = make(name);
	map(name, 1, R, MAP_PRIVATE, fd, PAGE);
	close(fd);
}

static void *sleeper(void *none)
{
	pause();
	return none;
}

static void files(void)
{
	static const char *names[] = {
		"plain", "a b", "tail ", " lead", "dou  ble", "tab\tin", "new\nline", "\n", "cr\rin", "cr at end\r",
		"esc\x1b[31mred", "\\012", "lit\\012eral", "both\n\\012", "back\\slash\\", "fake (deleted)",
		" (deleted)", "bytes\xff\xfe", "[heap]", "[stack]", "[anon:x]", "[vsyscall]", "memfd:x", "   ", "\t",
		"\x01", "日本", "quote\"'", "00400000-00401000 r-xp 00000000 00:00 0 ", "VmFlags: rd",
	};
	char name[256];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		file(names[i]);
	memset(name, 'n', 255), name[255] = 0;
	file(name);
	memset(name, '\n', 255);
	file(name);

	file("gone"), unlink("gone");
	file("gone (deleted)"), unlink("gone (deleted)");
	file("gone\nand \\012"), unlink("gone\nand \\012");
	file("before"), rename("before", "after");
	file("replaced"), close(make("newer")), rename("newer", "replaced");
	file("linked"), link("linked", "other link"), unlink("linked");
	mkdir("dir", 0755), file("dir/file"), unlink("dir/file"), rmdir("dir");
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd != -1 && ftruncate(fd, PAGE) == -1)
		exit(1);
	map("O_TMPFILE", 1, R | W, MAP_SHARED, fd, 0);
	map("read-only shared", 1, R, MAP_SHARED, open("plain", O_RDONLY), 0);
	fd = make("sparse");
	map("big offset", 1, R, MAP_SHARED, fd, 0x123456000);
	symlink("plain", "link");
	map("through a symbolic link", 1, R | X, MAP_PRIVATE, open("link", O_RDONLY), 0);

	// A path of 20 components, longer than PATH_MAX.
	memset(name, 'd', 245), name[245] = 0;
	int top = open(".", O_DIRECTORY);
	for (int i = 0; i < 20; i++)
		if (mkdir(name, 0755) == -1 || chdir(name) == -1)
			perror("deep"), exit(1);
	file("deep"), file("deep\nand odd"), file("deep (deleted)");
	file("deep and gone"), unlink("deep and gone");
	if (fchdir(top) == -1)
		exit(1);
}

static void memory_files(void)
{
	char name[64];
	int fd = syscall(SYS_memfd_create, "my name", 0);
	if (ftruncate(fd, 2 * PAGE) == -1)
		exit(1);
	map("memfd", 1, R | W, MAP_SHARED, fd, PAGE);
	fd = syscall(SYS_memfd_create, "", 0);
	map("memfd", 1, R | W, MAP_PRIVATE, fd, 0);
	fd = syscall(SYS_memfd_create, "a\nb (deleted)", 0);
	map("memfd", 1, R, MAP_SHARED, fd, 0);
	snprintf(name, sizeof name, "/vmatlas-zoo-%d", getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (ftruncate(fd, PAGE) == -1)
		exit(1);
	map("POSIX shm", 1, R | W, MAP_SHARED, fd, 0);
	shm_unlink(name);
	int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600);
	if (shmat(id, NULL, 0) == (void *)-1)
		printf("no SysV shm: %s\n", strerror(errno));
	shmctl(id, IPC_RMID, NULL);
	map("shared anonymous", 3, R | W, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	map("/dev/zero shared", 3, R | W, MAP_SHARED, open("/dev/zero", O_RDWR), 0);
	map("/dev/zero private", 3, R | W, MAP_PRIVATE, open("/dev/zero", O_RDWR), PAGE);
	map("hugetlb", 512, R | W, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	fd = syscall(SYS_memfd_secret, 0);
	if (fd != -1 && ftruncate(fd, PAGE) == -1)
		exit(1);
	map("secretmem", 1, R | W, MAP_SHARED, fd, 0);
}

static void kernel_objects(void)
{
	struct io_uring_params ring = {0};
	int fd = syscall(SYS_io_uring_setup, 8, &ring);
	map("io_uring", 1, R | W, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	map("io_uring", 1, R | W, MAP_SHARED, fd, IORING_OFF_SQES);

	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK, .disabled = 1};
	fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	map("perf", 2, R | W, MAP_SHARED, fd, 0);

	aio_context_t context = 0;
	if (syscall(SYS_io_setup, 4, &context) == -1)
		printf("no aio: %s\n", strerror(errno));

	fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_LOOP));
	struct tpacket_req request = {PAGE, 1, PAGE, 1};
	if (fd != -1 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == -1)
		fd = -1;
	map("packet ring", 1, R | W, MAP_SHARED, fd, 0);
}

static void anonymous(void)
{
	for (int prot = 0; prot < 8; prot++)
		map("perms", 1, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map("grows down", 4, R | W, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	map("not reserved", 1 << 28, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *named = map("named", 4, R | W, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named + PAGE, PAGE, "a name (of mine)") == -1)
		printf("no anonymous names: %s\n", strerror(errno));
	char *locked = map("locked", 3, R | W, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mlock(locked + PAGE, PAGE);
	memset(locked, 1, 3 * PAGE);
	madvise(locked, PAGE, MADV_DONTFORK);
	// The heap in pieces.
	char *heap = sbrk(8 * PAGE);
	heap += -(long)heap & (PAGE - 1);
	mprotect(heap + 2 * PAGE, PAGE, R);
}

int main(int count, char **arguments)
{
	pthread_t thread;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setlinebuf(stdout);
	if (count != 2 || chdir(arguments[1]) == -1)
		return 1;
	files();
	memory_files();
	kernel_objects();
	anonymous();
	pthread_create(&thread, NULL, sleeper, NULL);
	pthread_create(&thread, NULL, sleeper, NULL);
	puts("ready");
	for (;;)
		pause();
}
