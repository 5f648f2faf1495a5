package main

// #include <stdlib.h>
// #include <string.h>
// static void *block(void) { return memset(malloc(5 << 20), 1, 5 << 20); }
import "C"

import "fmt"

// A block of the C library beside Go's heap.
func elsewhere() {
	fmt.Printf("block %p\n", C.block())
}
