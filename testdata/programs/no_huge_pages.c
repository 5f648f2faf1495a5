// Executes a program that gets no transparent huge pages, whatever the machine's setting: its resident
// memory then is what it has touched.
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char **words)
{
	if (count < 2 || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) {
		perror("no_huge_pages");
		return 1;
	}
	execv(words[1], words + 1);
	perror(words[1]);
	return 1;
}
