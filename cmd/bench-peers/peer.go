package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// scripts are the peers' side: each reads one JSON object per line, does what it
// says and answers with one JSON object per line. See peers/harness.py.
//
//go:embed peers
var scripts embed.FS

// peer is a running script in the peers' environment.
type peer struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// startPeer runs peers/<script> with one thread per library.
func (b *bench) startPeer(ctx context.Context, script string, args ...string) (*peer, error) {
	dir, err := os.MkdirTemp("", "bench-peers")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, scripts); err != nil {
		return nil, err
	}
	p := &peer{name: script, cmd: exec.CommandContext(ctx, b.python, append([]string{"-u", dir + "/peers/" + script}, args...)...)}
	p.cmd.Env = peerEnvironment(os.Environ())
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<20)
	return p, p.cmd.Start()
}

// peerEnvironment gives a peer one thread, and the kernels its libraries choose
// by themselves: a setting that forces old ones would flatter us.
func peerEnvironment(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "OPENBLAS_") && !strings.HasPrefix(e, "OMP_") && !strings.HasPrefix(e, "MKL_") {
			kept = append(kept, e)
		}
	}
	return append(kept, "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "NUMBA_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1")
}

// call sends one request and decodes the answer into answer.
func (p *peer) call(request, answer any) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	reply, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s ended: %w", p.name, err)
	}
	var failure struct{ Error string }
	if json.Unmarshal(reply, &failure) == nil && failure.Error != "" {
		return fmt.Errorf("%s: %s", p.name, failure.Error)
	}
	return json.Unmarshal(reply, answer)
}

// close ends the peer: its input ends, so its loop does.
func (p *peer) close() error {
	p.in.Close()
	return p.cmd.Wait()
}
