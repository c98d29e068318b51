package state

import "github.com/authfi/authfi/directory"

// Device finds a request by the key that its user code has.
func (r *rows) Device(key [16]byte) (*directory.DeviceRequest, bool) {
	return get[directory.DeviceRequest](r, idKey(tableDevice, key))
}

// Devices counts rows.
func (r *rows) Devices() int { return r.counts[tableDevice] }

// PutDevice creates or replaces a request.
func (tx *OrgTx) PutDevice(d *directory.DeviceRequest) { tx.put(idKey(tableDevice, d.Key), d) }

// ForgetDevices forgets the requests that have ended.
func (tx *OrgTx) ForgetDevices(now directory.Time) {
	var ended []string
	each(&tx.rows, tableDevice, "", func(d *directory.DeviceRequest) bool {
		if d.Expires <= now {
			ended = append(ended, idKey(tableDevice, d.Key))
		}
		return true
	})
	for _, key := range ended {
		tx.remove(key)
	}
}

// EachUntold walks the ended sessions of which their clients are to be told, in the
// order of their ids.
func (r *rows) EachUntold(yield func(*directory.Session) bool) {
	r.scan(string(rune(derivedUntold)), "", func(key string, _ any) bool {
		s, ok := r.Session(directory.SessionID([]byte(key[1:])))
		return !ok || yield(s)
	})
}

func (tx *OrgTx) deriveSession(s *directory.Session) {
	tx.derive(pairKey(derivedUserSession, s.User, s.ID), nil)
	if s.Untold {
		tx.derive(idKey(derivedUntold, s.ID), nil)
	}
}
