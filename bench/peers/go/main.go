// SPDX-License-Identifier: Apache-2.0

// Go's answers to the questions of bench/fibers.c: the same names, the same counts, the same output.
//
//	gopeer MODE              prints `name value unit`
//	gopeer echo [PORT]       prints `listening 127.0.0.1:PORT` and serves
//
// GOMAXPROCS says how many workers there are. Written so that Go 1.19 (Debian 12) compiles it. The
// library's fibers are counted in by a wait group where Go's would be, so both pay for the same joins.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

var mode string

func report(name string, value float64, unit string) {
	fmt.Printf("%s %.2f %s\n", name, value, unit)
}

func perOp(since time.Time, n int) float64 {
	return float64(time.Since(since).Nanoseconds()) / float64(n)
}

func yield() {
	const n = 3000000
	var both sync.WaitGroup
	both.Add(2)
	begin := time.Now()
	for k := 0; k < 2; k++ {
		go func() {
			defer both.Done()
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
		}()
	}
	both.Wait()
	report(mode, perOp(begin, 2*n), "ns")
}

func spawn() {
	const n = 1000000
	var wg sync.WaitGroup
	begin := time.Now()
	for i := 0; i < n; i++ {
		wg.Add(1)
		go wg.Done()
		wg.Wait()
	}
	report(mode, perOp(begin, n), "ns")
}

// thousands times rounds of 1000 goroutines; round starts them and lets them end, wg joins them.
func thousands(round func(wg *sync.WaitGroup)) {
	const rounds, warmUp = 300, 10
	var wg sync.WaitGroup
	var begin time.Time
	for r := 0; r < rounds+warmUp; r++ {
		if r == warmUp {
			begin = time.Now()
		}
		wg.Add(1000)
		round(&wg)
		wg.Wait()
	}
	report(mode, perOp(begin, rounds*1000), "ns")
}

func gate() {
	thousands(func(wg *sync.WaitGroup) {
		closed := make(chan int)
		for i := 0; i < 1000; i++ {
			go func() {
				<-closed
				wg.Done()
			}()
		}
		runtime.Gosched()
		close(closed)
	})
}

func spawn1000() {
	thousands(func(wg *sync.WaitGroup) {
		for i := 0; i < 1000; i++ {
			go wg.Done()
		}
	})
}

func bounce(in, out chan int, n int) {
	for i := 0; i < n; i++ {
		out <- <-in
	}
}

func pingPong(room int) {
	const n = 2000000
	there, back := make(chan int, room), make(chan int, room)
	go bounce(there, back, n)
	begin := time.Now()
	for i := 0; i < n; i++ {
		there <- 1
		<-back
	}
	report(mode, perOp(begin, n), "ns")
}

func items(room, n int) {
	pipe := make(chan int, room)
	go func() {
		for i := 0; i < n; i++ {
			pipe <- 1
		}
	}()
	begin := time.Now()
	for i := 0; i < n; i++ {
		<-pipe
	}
	report(mode, perOp(begin, n), "ns")
}

func select4(c *[8]chan int) {
	select {
	case <-c[0]:
	case <-c[1]:
	case <-c[2]:
	case <-c[3]:
	}
}

func select8(c *[8]chan int) {
	select {
	case <-c[0]:
	case <-c[1]:
	case <-c[2]:
	case <-c[3]:
	case <-c[4]:
	case <-c[5]:
	case <-c[6]:
	case <-c[7]:
	}
}

// selectLooping receives from senders that never stop.
func selectLooping(ways int, receive func(*[8]chan int)) {
	const n = 2000000
	var c [8]chan int
	for k := 0; k < ways; k++ {
		c[k] = make(chan int)
		go func(to chan<- int) {
			for {
				to <- 1
			}
		}(c[k])
	}
	begin := time.Now()
	for i := 0; i < n; i++ {
		receive(&c)
	}
	report(mode, perOp(begin, n), "ns")
}

// selectOneReady sends to one of the channels, then selects over all: exactly one is ready.
func selectOneReady(ways int, receive func(*[8]chan int)) {
	const n = 2000000
	var c [8]chan int
	for k := range c {
		c[k] = make(chan int, 1)
	}
	begin := time.Now()
	for i := 0; i < n; i++ {
		c[i&(ways-1)] <- 1
		receive(&c)
	}
	report(mode, perOp(begin, n), "ns")
}

// selectParked: a round trip whose answer is awaited by a select that always has to park.
func selectParked() {
	const n = 1000000
	there, back := make(chan int), make(chan int)
	var never [3]chan int
	for k := range never {
		never[k] = make(chan int)
	}
	go bounce(there, back, n)
	begin := time.Now()
	for i := 0; i < n; i++ {
		there <- 1
		select {
		case <-never[0]:
		case <-never[1]:
		case <-never[2]:
		case <-back:
		}
	}
	report(mode, perOp(begin, n), "ns")
}

func mutex() {
	const n = 10000000
	var m sync.Mutex
	begin := time.Now()
	for i := 0; i < n; i++ {
		m.Lock()
		m.Unlock() //lint:ignore SA2001 the pair is what is measured
	}
	report(mode, perOp(begin, n), "ns")
}

var sink uint64

// task is 700 steps of a linear congruence, some 0.8 us: as bench/fibers.c and bench/floor have it.
func task() {
	x := uint64(1)
	for i := 0; i < 700; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	if x == 42 {
		sink = x
	}
}

func fanOut() {
	const n = 200000
	var wg sync.WaitGroup
	begin := time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			task()
			wg.Done()
		}()
	}
	wg.Wait()
	report(mode, perOp(begin, n), "ns")
}

// sumOf adds the numbers that follow key in the lines of a file of /proc.
func sumOf(path, key string) (sum int64) {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		word := strings.Fields(lines.Text())
		if len(word) > 1 && word[0] == key {
			v, _ := strconv.ParseInt(word[1], 10, 64)
			sum += v
		}
	}
	return sum
}

// availableBytes is MemAvailable and what lies on the kernel's per-processor free lists.
func availableBytes() int64 {
	return sumOf("/proc/meminfo", "MemAvailable:")*1024 + sumOf("/proc/zoneinfo", "count:")*4096
}

func park(n int) {
	never := make(chan int)
	before, rss := availableBytes(), sumOf("/proc/self/status", "VmRSS:")
	begin := time.Now()
	for i := 0; i < n; i++ {
		go func() { <-never }()
	}
	for i := 0; i < 100; i++ {
		runtime.Gosched()
	}
	took := perOp(begin, n)
	time.Sleep(300 * time.Millisecond)
	report("bytes", float64(before-availableBytes())/float64(n), "B")
	report("rss", float64(sumOf("/proc/self/status", "VmRSS:")-rss)*1024/float64(n), "B")
	report("time", took, "ns")
}

func echoOne(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err = c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func echo(port string) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gopeer:", err)
		os.Exit(1)
	}
	fmt.Println("listening", ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go echoOne(c)
	}
}

var modes = map[string]func(){
	"yield":     yield,
	"spawn":     spawn,
	"gate":      gate,
	"spawn1000": spawn1000,
	"pp":        func() { pingPong(0) },
	"pp1":       func() { pingPong(1) },
	"buf":       func() { items(128, 10000000) },
	"unbuf":     func() { items(0, 3000000) },
	"sel4":      func() { selectLooping(4, select4) },
	"sel8":      func() { selectLooping(8, select8) },
	"selone4":   func() { selectOneReady(4, select4) },
	"selone8":   func() { selectOneReady(8, select8) },
	"ppsel":     selectParked,
	"mutex":     mutex,
	"fanout":    fanOut,
	"park100k":  func() { park(100000) },
	"park1m":    func() { park(1000000) },
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: gopeer MODE   or: gopeer echo [PORT]")
		os.Exit(2)
	}
	mode = os.Args[1]
	if mode == "echo" {
		echo(append(os.Args[2:], "0")[0])
		return
	}
	run, ok := modes[mode]
	if !ok && crowds() {
		return
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "gopeer: no mode", mode)
		os.Exit(2)
	}
	run()
}
