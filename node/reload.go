package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// LogLevel is from which level on lines are written; empty is info.
type LogLevel string

// Levels of lines.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Level is what it is to the log.
func (l LogLevel) Level() slog.Level {
	switch l {
	case LogDebug:
		return slog.LevelDebug
	case LogWarn:
		return slog.LevelWarn
	case LogError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func (l LogLevel) check() error {
	if l != "" && !slices.Contains([]LogLevel{LogDebug, LogInfo, LogWarn, LogError}, l) {
		return fmt.Errorf("log_level %q is not debug, info, warn or error", string(l))
	}
	return nil
}

// Reloaded says what became of settings that were read while the node runs.
type Reloaded struct {
	// Taken are the keys that changed and are in force now.
	Taken []string `json:"taken"`
	// Waiting are the keys that are not in force before the next start.
	Waiting []string `json:"waiting"`
}

func (r Reloaded) String() string {
	var said []string
	if len(r.Taken) > 0 {
		said = append(said, strings.Join(r.Taken, ", ")+" in force")
	}
	if len(r.Waiting) > 0 {
		said = append(said, strings.Join(r.Waiting, ", ")+" after a restart")
	}
	if len(said) == 0 {
		return "nothing has changed"
	}
	return strings.Join(said, "; ")
}

// settled is what a running node goes by of the settings that may change meanwhile.
type settled struct {
	drain atomic.Int64    // time.Duration
	own   *ownCertificate // nil: the cluster's CA has signed the API's

	mu  sync.Mutex
	cfg Config // guarded by mu: what is in force
}

func (n *Node) settle(c Config) {
	n.settled.cfg = c
	n.settled.drain.Store(int64(c.Drain))
	if c.Verbosity != nil {
		c.Verbosity.Set(c.LogLevel.Level())
	}
}

var errNoSettingsFile = errors.New("this node was started without a settings file")

// Reload reads the settings again and takes what is safe to take while the node runs:
// all of that or, with an error, nothing. An address or a name is taken by listening and
// introducing oneself anew, which is a start; and what is enforced does not change under
// the requests that are judged by it. A certificate of one's own is read again even if
// its files are called as before; whether there is one at all is up to a start.
func (n *Node) Reload() (r Reloaded, err error) {
	if n.cfg.Reread == nil {
		return r, errNoSettingsFile
	}
	n.settled.mu.Lock()
	defer n.settled.mu.Unlock()
	n.tell(Reloading)
	defer n.tell(Ready)
	defer func() {
		if err != nil {
			n.log.Error("the settings are refused; those that were read before stay in force", "error", err)
			return
		}
		n.log.Info("the settings were read again", "taken", strings.Join(r.Taken, ", "), "after_a_restart", strings.Join(r.Waiting, ", "))
	}()
	said, err := n.cfg.Reread()
	if err != nil {
		return r, err
	}
	return n.take(said)
}

// serveReload answers with what became of the settings, or with what is wrong with them.
func (n *Node) serveReload(w http.ResponseWriter, _ *http.Request) {
	r, err := n.Reload()
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	writeJSON(w, r)
}

// reloadTextMax bounds what a node says about its settings, in bytes.
const reloadTextMax = 64 << 10

// AskReload lets the node of a data directory, which runs on this machine, read its
// settings again.
func AskReload(ctx context.Context, dir string) (r Reloaded, err error) {
	ctx, cancel := context.WithTimeout(ctx, supportTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialSupport(dir)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node"+askReload, nil)
	if err != nil {
		return r, err
	}
	answer, err := client.Do(request)
	if err != nil { // of this machine: to the command line it is no unreachable cluster
		return r, fmt.Errorf("the node of %s does not answer: %v; if it runs, be its user or root", dir, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, reloadTextMax))
	switch {
	case err != nil:
		return r, err
	case answer.StatusCode != http.StatusOK:
		return r, fmt.Errorf("the settings stay as they were: %s", strings.TrimSpace(string(text)))
	}
	return r, json.Unmarshal(text, &r)
}

// take is called with the lock held.
func (n *Node) take(said Config) (r Reloaded, err error) {
	next := n.settled.cfg
	next.LogLevel, next.Drain = said.LogLevel, said.Drain
	if own := n.settled.own; own != nil && said.Certificate.CertFile != "" {
		if err := own.take(said.Certificate, time.Now()); err != nil {
			return r, err
		}
		next.Certificate = said.Certificate
	}
	if r.Taken, err = changedKeys(n.settled.cfg, next); err != nil {
		return r, err
	}
	if r.Waiting, err = changedKeys(next, said); err != nil {
		return r, err
	}
	n.settle(next)
	return r, nil
}

// changedKeys are the keys, with those of their sections, whose values differ.
func changedKeys(before, after Config) ([]string, error) {
	was, err := before.values()
	if err != nil {
		return nil, err
	}
	is, err := after.values()
	if err != nil {
		return nil, err
	}
	var changed []string
	for key, value := range is {
		if !reflect.DeepEqual(was[key], value) {
			changed = append(changed, key)
		}
		delete(was, key)
	}
	for key := range was {
		changed = append(changed, key)
	}
	slices.Sort(changed)
	return changed, nil
}

// values are the settings by their keys. One that has its zero value may be missing.
func (c Config) values() (map[string]any, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	values := map[string]any{"dir": c.Dir}
	flatten(values, all, "")
	return values, nil
}

func flatten(into, section map[string]any, above string) {
	for key, value := range section {
		if below, ok := value.(map[string]any); ok {
			flatten(into, below, above+key+".")
			continue
		}
		into[above+key] = value
	}
}
