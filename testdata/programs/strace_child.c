#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>
#include <sys/wait.h>
int main(void){ char*p=mmap(0,1<<16,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0); mprotect(p+4096,4096,PROT_NONE);
 if(!fork()){ munmap(p,8192); return 0;} wait(0); return 0;}
