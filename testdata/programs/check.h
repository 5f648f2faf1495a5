// CHECK(CALL): the call's result; if it fails, the program ends with its name and error.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call)                                                                                \
	({                                                                                         \
		long result_ = (long)(call);                                                       \
		if (result_ == -1) {                                                               \
			fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, #call,      \
				strerror(errno));                                                  \
			exit(2);                                                                   \
		}                                                                                  \
		result_;                                                                           \
	})
