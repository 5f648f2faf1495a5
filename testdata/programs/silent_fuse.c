// silent_fuse DIR FILE: mounts at DIR a file system with one file, /library.so, whose bytes are those of
// FILE, loads it as a library, and prints its own pid and that of the server, whose input is numbers, one
// a line: so many requests it answers from then on. It reads the others and never answers them, so whoever
// waits for them cannot be killed. At a SIGUSR1 the former maps memory and prints a line. Ends all when its own
// input ends. Used by crates/vmatlas-cli/tests/it/hostile.rs.
#include "fuse.h"
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void map_memory(int signal)
{
	(void)signal;
	CHECK((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(write(1, "mapped\n", 7));
}

int main(int count, char **words)
{
	char path[4096], line[100];
	if (count != 3)
		return 2;
	const char *dir = words[1];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	long *left = (long *)CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	*left = 1L << 40;
	served.name = "library.so";
	served.backing = CHECK(open(words[2], O_RDONLY | O_CLOEXEC));
	served.left = left;
	int fd = fuse_mount(dir, "fuse.silent");
	pid_t server = fork();
	CHECK(server);
	if (server == 0)
		fuse_serve(fd);
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
		signal(SIGUSR1, map_memory);
		printf("%d %d\n", getpid(), server);
		fflush(stdout);
		for (;;)
			pause();
	}
	close(fd);
	while (fgets(line, sizeof line, stdin)) {
		*served.left = atol(line);
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
