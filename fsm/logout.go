package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// ToldLogout records that the client of an ended session has been told, or never will
// be.
type ToldLogout struct {
	ID directory.SessionID `cbor:"1,keyasint"`
}

func (*ToldLogout) Kind() Kind { return KindToldLogout }

func (c *ToldLogout) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Session(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("session")
	}
	if !old.Untold {
		return unchanged(old.ID)
	}
	if !tx.HasUser(old.User) { // it stayed for this alone
		tx.DeleteSession(old)
		e.row(directory.RowSession, old.ID)
		return changed(old.ID)
	}
	s := *old
	s.Untold, s.Version = false, e.index
	tx.PutSession(&s)
	return changed(s.ID)
}

// mustTell reports whether a session that ends is one that its client knows of and
// wants to be told about.
func mustTell(tx *state.OrgTx, s *directory.Session) bool {
	if s.Code == nil || s.Code.Used == 0 {
		return false
	}
	client, ok := tx.Client(s.Client)
	return ok && client.Logout != ""
}
