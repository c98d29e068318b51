package watch

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// TestCloseEndsStreams: a node that stops sends its followers away at once.
func TestCloseEndsStreams(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t)
		ask := &authfiv1.WatchRequest{OrgId: w.orgs[0].String()}
		f := follow(w, w.token, ask)
		takeUntil(t, f, typeHeartbeat)
		w.watcher.Close()
		w.watcher.Close()
		if taken, err := ends(f); codeOf(err) != "unavailable" || len(taken) > 0 {
			t.Errorf("after %v the stream ends with %v", names(taken), err)
		}
		if m, err := follow(w, w.token, ask).next(); codeOf(err) != "unavailable" {
			t.Errorf("a new stream begins with %v %v", m, err)
		}
	})
}

// TestCloseEndsBlockedStreams: also one that waits for a follower who does not read.
func TestCloseEndsBlockedStreams(t *testing.T) {
	for name, follow := range slowFollowers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(b *bounds) { b.write = 10 * testWait })
			w.users(w.orgs[0], "many", blockingRows)
			f := follow(t, w.serve(w.watcher, narrow), w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String(), Snapshot: true})
			take(t, f, 1)
			began := time.Now()
			w.watcher.Close()
			w.streamEnds()
			if took := time.Since(began); took > 4*standard.hurry {
				t.Errorf("the stream ends after %s", took)
			}
		})
	}
}

// TestStreamOutlivesReadTimeout: the server's bound on reading a request is none on
// how long it is answered.
func TestStreamOutlivesReadTimeout(t *testing.T) {
	const readTimeout = time.Second // a handshake on a busy machine has to fit in
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, short)
			server := w.serve(w.watcher, func(s *http.Server) { s.ReadTimeout = readTimeout })
			f := d.follow(t, server, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
			for began := time.Now(); time.Since(began) < readTimeout+readTimeout/2; {
				takeUntil(t, f, typeHeartbeat)
			}
		})
	}
}

// TestQuietStreamHasNoDeadline: nothing is due between two heartbeats, however
// little time a batch may take.
func TestQuietStreamHasNoDeadline(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(b *bounds) { b.heartbeat, b.write = 300*time.Millisecond, 100*time.Millisecond })
			f := d.follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
			for range 3 {
				takeUntil(t, f, typeHeartbeat)
			}
		})
	}
}

// TestOwnDeadline: a stream that its client has given a time ends with that.
func TestOwnDeadline(t *testing.T) {
	w := newWorld(t, short)
	body := `{"org_id":"` + w.orgs[0].String() + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+authfiv1connect.EventServiceWatchProcedure,
		bytes.NewReader(append([]byte{0, 0, 0, 0, byte(len(body))}, body...)))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/connect+json")
	req.Header.Set("Connect-Timeout-Ms", "200")
	res, err := w.server.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	must(t, err)
	if !strings.Contains(string(all), `"error":{"code":"deadline_exceeded"`) {
		t.Errorf("the stream is %q", all)
	}
}
