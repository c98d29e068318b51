package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
)

// backupPath is not a procedure: its answer is as long as the state.
const backupPath = "/api/v1/backup"

// headerSum is a trailer: the SHA-256 of all bytes before it, which a reader whose
// stream was cut does not get.
const headerSum = "X-Authfi-Sha256"

const (
	readBackup = access.Operation("backup.read")
	// backupWriteTimeout cuts off a reader who takes no bytes for so long.
	backupWriteTimeout = 60 * time.Second
	// backupStep is how much is written before the deadline is set anew.
	backupStep = 1 << 20
)

// backups serves the backup and hands everything else on.
func (a *api) backups(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != backupPath {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			rest.WriteError(w, r, refusal(directory.Invalid("", "a backup is read with GET")))
			return
		}
		if err := a.backup(w, r); err != nil {
			rest.WriteError(w, r, refusal(err))
		}
	})
}

// backup streams the state. After the first byte an error can only cut the stream,
// so that the reader sees that it is not whole.
func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	caller, ok := r.Context().Value(callerKey{}).(access.Caller)
	if !ok {
		return directory.Unauthenticated("a valid bearer token is required")
	}
	// Without a quorum what this node has is worth the more.
	fresh := access.Freshness{Linearizable: r.URL.Query().Get("stale") != "true"}
	ctx, cancel := context.WithTimeout(r.Context(), freshMax)
	defer cancel()
	if _, err := a.Gate.AdmitSystem(ctx, caller, readBackup, fresh); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="authfi.backup"`)
	w.Header().Set("Trailer", headerSum)
	out := &timed{ResponseWriter: w, control: http.NewResponseController(w), sum: sha256.New()}
	defer func() { _ = out.control.SetWriteDeadline(time.Time{}) }() // the connection may serve another request
	// The request was read; its deadline would end the answer.
	_ = out.control.SetReadDeadline(time.Time{})
	if err := a.Backup(r.Context(), out); err != nil {
		if !out.began {
			w.Header().Del("Trailer")
			w.Header().Del("Content-Disposition")
			return err
		}
		a.Log.ErrorContext(ctx, "a backup was cut", "error", err)
		panic(http.ErrAbortHandler)
	}
	w.Header().Set(headerSum, hex.EncodeToString(out.sum.Sum(nil)))
	return nil
}

// timed moves the deadline on while the reader takes bytes.
type timed struct {
	http.ResponseWriter
	control *http.ResponseController
	sum     hash.Hash
	began   bool
	left    int // bytes until the deadline is set anew
}

func (t *timed) Write(p []byte) (int, error) {
	if t.left -= len(p); t.left <= 0 {
		t.left, t.began = backupStep, true
		_ = t.control.SetWriteDeadline(time.Now().Add(backupWriteTimeout))
	}
	t.sum.Write(p)
	return t.ResponseWriter.Write(p)
}
