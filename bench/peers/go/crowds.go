// SPDX-License-Identifier: Apache-2.0

// Go's answers to the questions of bench/crowds.c: the same sections, the same counts, the same output.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

func reportSpread(took []int64, unitNs float64, unit string) {
	sort.Slice(took, func(i, k int) bool { return took[i] < took[k] })
	report("p50", float64(took[len(took)/2])/unitNs, unit)
	report("p99", float64(took[len(took)*99/100])/unitNs, unit)
}

func work(steps int) {
	x := uint64(1)
	for i := 0; i < steps; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	if x == 42 {
		atomic.StoreUint64(&sink, x)
	}
}

const shortSteps, longSteps, yieldEach, writeEach = 50, 4000, 8, 10

type contention struct {
	mutex  sync.Mutex
	rw     sync.RWMutex
	isRW   bool
	isLong bool
	each   int
}

func (c *contention) enter(writes bool) {
	switch {
	case !c.isRW:
		c.mutex.Lock()
	case writes:
		c.rw.Lock()
	default:
		c.rw.RLock()
	}
}

func (c *contention) leave(writes bool) {
	switch {
	case !c.isRW:
		c.mutex.Unlock()
	case writes:
		c.rw.Unlock()
	default:
		c.rw.RUnlock()
	}
}

func (c *contention) section(i int) {
	if c.isLong {
		work(longSteps)
	} else {
		work(shortSteps)
	}
	if c.isLong || i%yieldEach == 0 {
		runtime.Gosched()
	}
}

// contender makes its operations; waits has room for each one's wait, or is nil.
func (c *contention) contender(waits []int64) {
	for i := 0; i < c.each; i++ {
		writes := i%writeEach == 0
		if waits == nil {
			c.enter(writes)
		} else {
			asked := time.Now()
			c.enter(writes)
			waits[i] = int64(time.Since(asked))
		}
		c.section(i)
		c.leave(writes)
		work(shortSteps)
	}
}

// contend lets the contenders run, and says how long the whole of it took.
func (c *contention) contend(fibers int, waits []int64) time.Duration {
	var wg sync.WaitGroup
	wg.Add(fibers)
	begin := time.Now()
	for k := 0; k < fibers; k++ {
		var own []int64
		if waits != nil {
			own = waits[k*c.each : (k+1)*c.each]
		}
		go func() {
			c.contender(own)
			wg.Done()
		}()
	}
	wg.Wait()
	return time.Since(begin)
}

// locks: mutexNshort, mutexNlong, rwNshort, rwNlong.
func locks() bool {
	var kind, length string
	var fibers int
	for _, kind = range []string{"mutex", "rw"} {
		if n, _ := fmt.Sscanf(strings.TrimPrefix(mode, kind), "%d%s", &fibers, &length); n == 2 {
			break
		}
	}
	if length != "short" && length != "long" {
		return false
	}
	c := &contention{isRW: kind == "rw", isLong: length == "long", each: 1000000 / fibers}
	if c.isLong {
		c.each = 40000 / fibers
	}
	n := fibers * c.each
	report(mode, float64(c.contend(fibers, nil))/float64(n), "ns")
	waits := make([]int64, n)
	c.contend(fibers, waits)
	reportSpread(waits, 1000, "us")
	return true
}

// many: nmNxM, N senders and M receivers on one channel.
func many() bool {
	const items, room = 2000000, 64
	var n, m int
	if k, _ := fmt.Sscanf(mode, "nm%dx%d", &n, &m); k != 2 {
		return false
	}
	pipe := make(chan int, room)
	var senders, receivers sync.WaitGroup
	begin := time.Now()
	senders.Add(n)
	receivers.Add(m)
	for i := 0; i < m; i++ {
		go func() {
			for range pipe {
			}
			receivers.Done()
		}()
	}
	for i := 0; i < n; i++ {
		go func() {
			for i := 0; i < items/n; i++ {
				pipe <- 1
			}
			senders.Done()
		}()
	}
	senders.Wait()
	close(pipe)
	receivers.Wait()
	report(mode, perOp(begin, items/n*n), "ns")
	return true
}

func clock(id uintptr) int64 {
	var ts syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

const clockMonotonic, clockProcess = 1, 2

func timers() {
	const n = 1000000
	var fired int64
	timer := make([]*time.Timer, n)
	count := func() { atomic.AddInt64(&fired, 1) }
	begin := time.Now()
	for i := range timer {
		timer[i] = time.AfterFunc(time.Hour+time.Duration(i)*time.Microsecond, count)
	}
	report("start", perOp(begin, n), "ns")
	begin = time.Now()
	for i := range timer {
		timer[i].Reset(2*time.Hour - time.Duration(i)*time.Microsecond)
	}
	report("reset", perOp(begin, n), "ns")
	begin = time.Now()
	for i := range timer {
		timer[i].Stop()
	}
	report("stop", perOp(begin, n), "ns")
	due := time.Now().Add(2 * time.Second)
	for i := range timer {
		timer[i].Reset(time.Until(due.Add(time.Duration(2*i) * time.Microsecond)))
	}
	time.Sleep(time.Until(due))
	cpu := clock(clockProcess)
	for atomic.LoadInt64(&fired) < n {
		time.Sleep(time.Millisecond)
	}
	report("fire", float64(clock(clockProcess)-cpu)/n, "ns")
}

func sleeping() {
	late := make([]int64, 500)
	for i := range late {
		begin := time.Now()
		time.Sleep(time.Millisecond)
		late[i] = int64(time.Since(begin) - time.Millisecond)
	}
	reportSpread(late, 1000, "us")
}

// events reads times from standard input; it goes through the poller, as a socket would.
func events() {
	syscall.SetNonblock(0, true)
	in := os.NewFile(0, "standard input")
	var late []int64
	var written [8]byte
	for {
		if _, err := io.ReadFull(in, written[:]); err != nil {
			break
		}
		late = append(late, clock(clockMonotonic)-int64(binary.LittleEndian.Uint64(written[:])))
	}
	reportSpread(late, 1000, "us")
}

func cancelTree() time.Duration {
	const tree = 100
	var leaf []context.Context
	root, cancel := context.WithCancel(context.Background())
	for i := 0; i < tree; i++ {
		node, cancelNode := context.WithCancel(root)
		defer cancelNode()
		for k := 1; k < tree; k++ {
			below, cancelBelow := context.WithCancel(node)
			defer cancelBelow()
			leaf = append(leaf, below)
		}
	}
	begin := time.Now()
	cancel()
	took := time.Since(begin)
	for _, one := range leaf {
		if one.Err() == nil {
			panic("not cancelled")
		}
	}
	return took
}

func contexts() {
	const rounds, tree = 50, 10000
	var sum time.Duration
	for r := 0; r < rounds; r++ {
		sum += cancelTree()
	}
	report(mode, float64(sum)/(rounds*tree), "ns")
}

func parkAgain(n, rounds int) {
	var sum time.Duration
	for r := 0; r <= rounds; r++ {
		gate := make(chan int)
		var parked, gone sync.WaitGroup
		begin := time.Now()
		parked.Add(n)
		gone.Add(n)
		for i := 0; i < n; i++ {
			go func() {
				parked.Done()
				<-gate
				gone.Done()
			}()
		}
		parked.Wait()
		if r > 0 {
			sum += time.Since(begin)
		}
		close(gate)
		gone.Wait()
	}
	report(mode, float64(sum)/float64(rounds*n), "ns")
}

func serveHTTP() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", ln.Addr())
	text := []byte("Hello, World!\n")
	panic(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write(text)
	})))
}

// crowds runs a mode of bench/crowds.c; false where there is none of that name.
func crowds() bool {
	plain := map[string]func(){"timers": timers, "sleep": sleeping, "event": events, "ctxtree": contexts,
		"parkwarm": func() { parkAgain(1000, 300) }, "parkagain": func() { parkAgain(100000, 5) }, "http": serveHTTP}
	if run, ok := plain[mode]; ok {
		run()
		return true
	}
	return locks() || many()
}
