package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/audit"
	"github.com/authfi/authfi/directory"
)

// exportPath is not a procedure: its answer is as long as the log.
const exportPath = "/api/v1/audit-log/export"

const (
	exportMedia = "application/jsonl"
	// exportWriteTimeout cuts off a reader who takes no bytes for so long.
	exportWriteTimeout = 30 * time.Second
	exportBatch        = 500 // entries per deadline and flush
)

// exports serves the export and hands everything else on.
func (a *api) exports(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != exportPath {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			rest.WriteError(w, r, refusal(directory.Invalid("", "the export is read with GET")))
			return
		}
		if err := a.export(w, r); err != nil {
			rest.WriteError(w, r, refusal(err))
		}
	})
}

// export streams the whole log at one index. After the first line an error can
// only end it, and the head tells the reader how many entries there should be.
func (a *api) export(w http.ResponseWriter, r *http.Request) error {
	log, org, err := a.exported(r)
	if err != nil {
		return err
	}
	chain := log.AuditLog()
	w.Header().Set("Content-Type", exportMedia)
	w.Header().Set("Content-Disposition", `attachment; filename="audit-`+org+`.jsonl"`)
	w.Header().Set(headerIndex, indexText(log.Applied()))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(exportWriteTimeout))
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may serve another request
	out, err := audit.NewWriter(w, audit.Head{
		Org: org, Index: uint64(log.Applied()), Entries: chain.Head.Seq - chain.Anchor.Seq,
		Anchor: audit.PlaceOf(chain.Anchor), Last: audit.PlaceOf(chain.Head),
	})
	if err != nil {
		return nil // the reader is gone
	}
	n := 0
	log.EachEvent(0, 0, func(e *directory.Event) bool {
		if e.Seq == 0 {
			return true // from before there was a chain
		}
		if n++; n%exportBatch == 0 {
			_ = control.SetWriteDeadline(time.Now().Add(exportWriteTimeout))
		}
		return out.Write(e) == nil
	})
	return nil
}

// exported admits the request to the log that it names, like a procedure.
func (a *api) exported(r *http.Request) (chronicle, string, error) {
	caller, ok := r.Context().Value(callerKey{}).(access.Caller)
	if !ok {
		return nil, "", directory.Unauthenticated("a valid bearer token is required")
	}
	ctx, cancel := context.WithTimeout(r.Context(), freshMax)
	defer cancel()
	newest := access.Freshness{Linearizable: true} // an export proves nothing about entries that it lacks
	org := r.URL.Query().Get("org_id")
	if org == "" {
		pass, err := a.Gate.AdmitSystem(ctx, caller, readInstanceLog, newest)
		if err != nil {
			return nil, "", err
		}
		return pass.View(), "instance", nil
	}
	id, err := directory.ParseOrgID(org)
	if err != nil {
		return nil, "", err
	}
	pass, err := a.Gate.Admit(ctx, caller, id, readAuditLog, newest)
	if err != nil {
		return nil, "", err
	}
	return pass.View(), org, nil
}
