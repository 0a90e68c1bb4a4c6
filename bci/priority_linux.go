package bci

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// GoLast has the other processes of this computer served first, and keeps this one to one
// processor at a time: for a process that only records, whose input waits for minutes
// without harm, beside one that decides. It changes the whole process. Where the system
// has no such thing, or does not allow it, only the second holds.
func GoLast() {
	runtime.GOMAXPROCS(1)
	threads, err := os.ReadDir("/proc/self/task") // Linux has priorities of threads; later ones inherit them
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lastPriority)
		}
	}
}

// lastPriority gives a tenth of a processor against one other busy thread, and all of it
// against none. Recording takes a hundredth.
const lastPriority = 10
