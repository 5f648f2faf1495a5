// A process that maps files and changes its view of the file system as its input says, and then waits.
// Used by crates/vmatlas-linux/tests/it/child.rs.
//
// A command is a list of words, each ended by a NUL, the last by two. The answer is one line.
//
//   map PATH          maps the file's first page: START-END
//   tmpfile DIR       maps a new file of DIR that has no name: START-END
//   mountns           a mount namespace of its own, of which nothing gets out
//   chroot DIR        chroot(2)
//   user UID          becomes that user for good, readable by others of that user
//   run PROGRAM ARGS  runs a program and waits for it
//   fuse DIR          mounts at DIR a file system with one file, /file, that a child serves: its pid
//   exec PROGRAM      goes on as that program
#include "fuse.h"
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void map(int fd)
{
	CHECK(fd);
	char *start = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(start);
	close(fd);
	printf("%lx-%lx\n", (long)start, (long)start + 4096);
}

static void run(char **words)
{
	pid_t pid = fork();
	CHECK(pid);
	if (pid == 0) {
		dup2(2, 1);
		execvp(words[0], words);
		_exit(127);
	}
	int status;
	CHECK(waitpid(pid, &status, 0));
	if (status != 0) {
		fprintf(stderr, "file_child: %s: status %x\n", words[0], status);
		exit(2);
	}
	puts("done");
}

static void fuse(const char *dir)
{
	served.name = "file";
	served.backing = -1;
	int fd = fuse_mount(dir, "fuse.hanging");
	pid_t pid = fork();
	CHECK(pid);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fuse_serve(fd);
	}
	close(fd);
	printf("%d\n", pid);
}

static void command(char **words)
{
	const char *verb = words[0], *argument = words[1];
	if (!strcmp(verb, "map")) {
		map(open(argument, O_RDONLY | O_CLOEXEC));
	} else if (!strcmp(verb, "tmpfile")) {
		int fd = open(argument, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		CHECK(ftruncate(fd, 4096));
		map(fd);
	} else if (!strcmp(verb, "mountns")) {
		CHECK(unshare(CLONE_NEWNS));
		CHECK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
		puts("done");
	} else if (!strcmp(verb, "chroot")) {
		CHECK(chroot(argument));
		CHECK(chdir("/"));
		puts("done");
	} else if (!strcmp(verb, "user")) {
		unsigned id = atoi(argument);
		CHECK(setgroups(0, NULL));
		CHECK(setresgid(id, id, id));
		CHECK(setresuid(id, id, id));
		CHECK(prctl(PR_SET_DUMPABLE, 1));
		puts("done");
	} else if (!strcmp(verb, "run")) {
		run(words + 1);
	} else if (!strcmp(verb, "fuse")) {
		fuse(argument);
	} else if (!strcmp(verb, "exec")) {
		CHECK(execvp(argument, words + 1));
	} else {
		fprintf(stderr, "file_child: no such command: %s\n", verb);
		exit(2);
	}
	fflush(stdout);
}

int main(void)
{
	static char input[1 << 16];
	char *words[32];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		size_t length = 0, count = 0;
		while (length < 2 || input[length - 1] != 0 || input[length - 2] != 0) {
			if (length == sizeof input || read(0, input + length, 1) != 1)
				return 0;
			length++;
		}
		for (char *word = input; *word && count < 31; word += strlen(word) + 1)
			words[count++] = word;
		words[count] = NULL;
		command(words);
	}
}
