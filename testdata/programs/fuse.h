// A FUSE file system with one file, served by the process that calls fuse_serve.
#include "check.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	const char *name;
	// The file with its bytes, or -1 for a page of zeroes.
	int backing;
	// The number of requests to answer still, shared by processes; NULL to answer all.
	volatile long *left;
} served;

// The root directory is node 1, the file is node 2. Nothing may be cached.
static void fuse_attributes(struct fuse_attr *attr, uint64_t node)
{
	struct stat stat = {.st_size = 4096};
	if (served.backing >= 0)
		CHECK(fstat(served.backing, &stat));
	attr->ino = node;
	attr->size = node == 1 ? 0 : stat.st_size;
	attr->blksize = 4096;
	attr->mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0755;
	attr->nlink = 1;
}

static void fuse_serve(int fd)
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
		memset(&answer, 0, sizeof answer.head + 4096);
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
			if (strcmp(argument, served.name) != 0) {
				answer.head.error = -ENOENT;
				break;
			}
			entry->nodeid = 2;
			fuse_attributes(&entry->attr, 2);
			length = sizeof *entry;
			break;
		}
		case FUSE_GETATTR: {
			struct fuse_attr_out *attr = (void *)answer.body;
			fuse_attributes(&attr->attr, in->nodeid);
			length = sizeof *attr;
			break;
		}
		case FUSE_OPEN:
			length = sizeof(struct fuse_open_out);
			break;
		case FUSE_READ: {
			struct fuse_read_in *read = argument;
			size_t size = read->size < sizeof answer.body ? read->size : sizeof answer.body;
			length = served.backing < 0
				? size
				: (size_t)CHECK(pread(served.backing, answer.body, size, read->offset));
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
		if (in->opcode != FUSE_INIT && served.left && (*served.left)-- <= 0)
			continue;
		answer.head.unique = in->unique;
		answer.head.len = sizeof answer.head + length;
		if (write(fd, &answer, answer.head.len) < 0 && errno != ENOENT)
			break;
	}
	_exit(0);
}

// Mounts it; returns the descriptor to serve.
static int fuse_mount(const char *dir, const char *type)
{
	char options[100];
	int fd = CHECK(open("/dev/fuse", O_RDWR | O_CLOEXEC));
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	CHECK(mount(type, dir, type, 0, options));
	return fd;
}
