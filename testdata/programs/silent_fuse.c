// silent_fuse DIR FILE: mounts at DIR a file system with one file, /library.so, whose bytes are those of
// FILE, loads it as a library, and prints its own pid and that of the server, whose input is numbers, one
// a line: so many requests it answers from then on. It reads the others and never answers them, so whoever
// waits for them cannot be killed. Ends all when its own input ends. Used by crates/vmatlas-cli/tests/it/hostile.rs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(call)                                                                                \
	do {                                                                                       \
		if ((long)(call) == -1) {                                                          \
			fprintf(stderr, "silent_fuse: %s: %s\n", #call, strerror(errno));          \
			exit(2);                                                                   \
		}                                                                                  \
	} while (0)

// The number of requests to answer still, shared by the processes.
static volatile long *left;
static int backing;

// The root directory is node 1, /library.so is node 2.
static void attributes(struct fuse_attr *attr, uint64_t node)
{
	struct stat stat;
	CHECK(fstat(backing, &stat));
	attr->ino = node;
	attr->size = node == 1 ? 0 : stat.st_size;
	attr->blksize = 4096;
	attr->mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
	attr->nlink = 1;
}

static void serve(int fd)
{
	static char request[1 << 17];
	static struct {
		struct fuse_out_header head;
		char body[1 << 17];
	} answer;
	while (read(fd, request, sizeof request) > 0) {
		struct fuse_in_header *in = (void *)request;
		void *argument = in + 1;
		size_t length = 0;
		memset(&answer, 0, sizeof answer.head + 256);
		switch (in->opcode) {
		case FUSE_INIT: {
			struct fuse_init_out *init = (void *)answer.body;
			init->major = FUSE_KERNEL_VERSION;
			init->minor = 31;
			init->max_write = init->max_readahead = 1 << 16;
			length = sizeof *init;
			break;
		}
		case FUSE_LOOKUP: {
			struct fuse_entry_out *entry = (void *)answer.body;
			entry->nodeid = 2;
			attributes(&entry->attr, 2);
			length = sizeof *entry;
			break;
		}
		case FUSE_GETATTR: {
			struct fuse_attr_out *attr = (void *)answer.body;
			attributes(&attr->attr, in->nodeid);
			length = sizeof *attr;
			break;
		}
		case FUSE_OPEN:
			length = sizeof(struct fuse_open_out);
			break;
		case FUSE_READ: {
			struct fuse_read_in *read = argument;
			size_t size = read->size < sizeof answer.body ? read->size : sizeof answer.body;
			CHECK(length = pread(backing, answer.body, size, read->offset));
			break;
		}
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			continue;
		case FUSE_RELEASE:
		case FUSE_FLUSH:
			break;
		default:
			answer.head.error = -ENOSYS;
		}
		if (in->opcode != FUSE_INIT && (*left)-- <= 0)
			continue;
		answer.head.unique = in->unique;
		answer.head.len = sizeof answer.head + length;
		if (write(fd, &answer, answer.head.len) < 0 && errno != ENOENT)
			break;
	}
	_exit(0);
}

int main(int count, char **words)
{
	char options[100], path[4096], line[100];
	if (count != 3)
		return 2;
	const char *dir = words[1];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	left = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(left);
	*left = 1L << 40;
	CHECK(backing = open(words[2], O_RDONLY | O_CLOEXEC));
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	CHECK(fd);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	CHECK(mount("silent", dir, "fuse.silent", 0, options));
	pid_t server = fork();
	CHECK(server);
	if (server == 0)
		serve(fd);
	// The one whose memory is looked at. It holds nothing of the file system but the library.
	pid_t target = fork();
	CHECK(target);
	if (target == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd);
		snprintf(path, sizeof path, "%s/library.so", dir);
		if (!dlopen(path, RTLD_NOW)) {
			fprintf(stderr, "silent_fuse: %s\n", dlerror());
			exit(2);
		}
		printf("%d %d\n", getpid(), server);
		fflush(stdout);
		for (;;)
			pause();
	}
	close(fd);
	while (fgets(line, sizeof line, stdin)) {
		*left = atol(line);
		puts("set");
		fflush(stdout);
	}
	// Frees whoever waits for the file system.
	kill(server, SIGKILL);
	kill(target, SIGKILL);
	while (wait(NULL) > 0)
		;
	umount2(dir, MNT_DETACH);
	return 0;
}
