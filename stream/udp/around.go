package udp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// listenAround listens to what else reaches this computer, until stop is called, which
// says what was heard and what to do: on every interface where the rights allow it, else
// on the ports where the known formats are usually found.
func listenAround(ctx context.Context, e Endpoint) (stop func() (heard, hint string)) {
	ctx, cancel := context.WithCancel(ctx)
	heard := &overheard{list: trafficList{}, own: e.Addr.Port()}
	wide := watchAll(ctx, heard)
	if !wide {
		for _, t := range Formats() {
			if t.Port != 0 && t.Carrier&UDP != 0 && uint16(t.Port) != e.Addr.Port() {
				heard.watchPort(ctx, uint16(t.Port))
			}
		}
	}
	return func() (string, string) {
		cancel()
		heard.running.Wait()
		text, hint := "", ""
		switch {
		case len(heard.list) > 0:
			text = "what is heard: " + heard.list.String()
			hint = "write the port that the device sends to"
		case wide:
			text = "no other UDP port of this computer hears anything either"
		}
		if len(heard.list) == 0 {
			hint = e.quietHint()
		}
		return text, hint
	}
}

// quietHint says what to try where nothing is heard.
func (e Endpoint) quietHint() string {
	switch {
	case e.Addr.Addr().IsLoopback():
		return fmt.Sprintf("a device on the network sends to this computer's address there: listen with udp://0.0.0.0:%d", e.Addr.Port())
	case e.Addr.Addr().IsMulticast() && e.Interface == "":
		return "the group may come by another interface: name it with interface=, one of " + strings.Join(interfaceNames(), ", ")
	}
	return "is the device started, does it send to this computer and port, and does the firewall let UDP pass?"
}

// overheard gathers from several goroutines.
type overheard struct {
	mu      sync.Mutex
	list    trafficList
	own     uint16
	running sync.WaitGroup
}

func (o *overheard) add(port uint16, data []byte) {
	if port == o.own {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list.add(port, data)
}

// watchPort listens to a port that nobody else has.
func (o *overheard) watchPort(ctx context.Context, port uint16) {
	e, err := ParseEndpoint(fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		return
	}
	r, err := Listen(ctx, e, 1<<18, nil)
	if err != nil {
		return
	}
	o.running.Go(func() {
		defer r.Close()
		for range 1000 {
			d, err := r.Next(time.Second)
			if err == ErrQuiet {
				continue
			}
			if err != nil {
				return
			}
			o.add(port, d.Data)
		}
	})
}
