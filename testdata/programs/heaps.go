// Fills the heap of Go, says where some of it is and what the runtime counts, and waits.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
)

type node struct {
	next *node
	data [10]int
}

var head *node

func main() {
	for i := 0; i < 200000; i++ {
		head = &node{next: head}
	}
	wait, started := make(chan int), make(chan int)
	for i := 0; i < 3; i++ {
		go func() {
			var local [100]int
			runtime.LockOSThread()
			fmt.Printf("address %p\n", &local)
			started <- 1
			<-wait
		}()
	}
	for i := 0; i < 3; i++ {
		<-started
	}
	runtime.GC()
	fmt.Printf("address %p\n", head)
	elsewhere()
	var samples []metrics.Sample
	for _, metric := range metrics.All() {
		if strings.HasPrefix(metric.Name, "/memory/classes/") {
			samples = append(samples, metrics.Sample{Name: metric.Name})
		}
	}
	metrics.Read(samples)
	for _, sample := range samples {
		fmt.Println(strings.TrimSuffix(sample.Name, ":bytes"), sample.Value.Uint64())
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Println(head.data[0])
}
