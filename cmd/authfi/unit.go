package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// apiSocket is the name under which authfi-api.socket hands over the socket of the API.
const apiSocket = "api"

// startExtension is what a start gets, from each sign of progress on. It is many times
// what lies between two looks at a start.
const startExtension = time.Minute

// unit is what systemd has given to this process: whom to tell, how long it waits for
// signs of life, and sockets. Without systemd it is nobody, nothing and none.
type unit struct {
	told      bool // there is somebody to tell
	patience  time.Duration
	listeners map[string][]net.Listener
	abort     chan os.Signal
	log       *slog.Logger
}

func openUnit(log *slog.Logger) (*unit, error) {
	u := &unit{told: os.Getenv("NOTIFY_SOCKET") != "", abort: make(chan os.Signal, 1), log: log}
	var err error
	if u.patience, err = daemon.SdWatchdogEnabled(false); err != nil {
		return nil, fmt.Errorf("watchdog of the unit: %w", err)
	}
	if u.listeners, err = activation.ListenersWithNames(); err != nil {
		return nil, fmt.Errorf("sockets of the unit: %w", err)
	}
	return u, nil
}

// listener is the socket that the unit has for the API, or nil. A socket of another port
// would be one that nobody expects: the setting is what the operator reads.
func (u *unit) listener(api string) (net.Listener, error) {
	all := u.listeners[apiSocket]
	if len(u.listeners) == 0 {
		return nil, nil
	}
	if len(u.listeners) > 1 || len(all) != 1 {
		return nil, fmt.Errorf("the unit hands over sockets named %q: there may be one, named %q", slices.Sorted(maps.Keys(u.listeners)), apiSocket)
	}
	_, want, err := net.SplitHostPort(api)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if _, has, err := net.SplitHostPort(all[0].Addr().String()); err != nil || has != want {
		return nil, fmt.Errorf("the socket of the unit listens on %s, and the setting api says %s: change ListenStream of authfi-api.socket, or api", all[0].Addr(), api)
	}
	return all[0], nil
}

// supervisor is systemd, or nobody.
func (u *unit) supervisor() node.Supervisor {
	if !u.told {
		return nil
	}
	signal.Notify(u.abort, syscall.SIGABRT)
	go u.leaveStacks()
	return u
}

// leaveStacks follows the signal by which a watchdog ends a process: what hangs is in
// the stacks. The runtime's own would have the arguments of calls, and a key may be
// among them. If nothing runs any more, not this either, systemd kills.
func (u *unit) leaveStacks() {
	<-u.abort
	pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
	os.Exit(2) // as the runtime does
}

// Patience implements node.Supervisor.
func (u *unit) Patience() time.Duration { return u.patience }

// Tell implements node.Supervisor.
func (u *unit) Tell(l node.Life) {
	switch l {
	case node.Starting:
		u.notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", startExtension.Microseconds()))
	case node.Ready:
		u.notify(daemon.SdNotifyReady)
	case node.Alive:
		u.notify(daemon.SdNotifyWatchdog)
	case node.Reloading:
		u.notify(daemon.SdNotifyReloading)
	case node.Stopping:
		u.notify(daemon.SdNotifyStopping)
	}
}

// Status implements node.Supervisor.
func (u *unit) Status(line string) { u.notify("STATUS=" + line) }

func (u *unit) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		u.log.Warn("systemd was not told", "what", state, "error", err)
	}
}
