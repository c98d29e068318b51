package state

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/codec"
)

// packedUser is a user as it is stored. A directory has more users than anything
// else that it keeps whole: unpacked, each took three times the memory and twenty
// pointers for the collector to follow. Reading one costs a fifth of a microsecond.
type packedUser string

// unpackableUser refuses a stored user that could not be read later.
func unpackableUser(value []byte) (any, error) {
	p := packedUser(value)
	_, err := p.read()
	return p, err
}

// user cannot fail: what is in the tree was encoded here or read before.
func (p packedUser) user() *directory.User {
	u, err := p.read()
	if err != nil {
		panic("state: a user that was encoded here: " + err.Error())
	}
	return u
}

func (p packedUser) read() (*directory.User, error) {
	u := new(directory.User)
	if p.fill(u) {
		return u, nil
	}
	*u = directory.User{}
	return u, codec.Decode([]byte(p), u)
}

// fill reads every field that a user has; a test holds it against the type. Texts
// share the row's memory, which a root keeps anyway.
func (p packedUser) fill(u *directory.User) bool {
	r := codec.ReadRecord(string(p))
	for {
		field, ok := r.Next()
		if !ok {
			return r.Whole()
		}
		switch field {
		case 1:
			ok = fillID((*[16]byte)(&u.ID), r.Bytes())
		case 2:
			u.UserName = r.Text()
		case 3:
			u.ExternalID = r.Text()
		case 4:
			u.Email = r.Text()
		case 5:
			u.DisplayName = r.Text()
		case 6:
			u.GivenName = r.Text()
		case 7:
			u.FamilyName = r.Text()
		case 8:
			u.Active = r.Bool()
		case 9:
			u.Source = directory.Source(r.Uint())
		case 10:
			ok = fillID((*[16]byte)(&u.Connection), r.Bytes())
		case 11:
			u.Attributes = []byte(r.Bytes())
		case 12:
			u.Created = directory.Time(r.Int())
		case 13:
			u.Modified = directory.Time(r.Int())
		case 14:
			u.Version = directory.Index(r.Uint())
		default:
			ok = p.fillMore(u, field, &r)
		}
		if !ok {
			return false
		}
	}
}

// sentBy reads the connection alone, for who passes over the users of others.
func (p packedUser) sentBy() (by directory.ConnectionID) {
	r := codec.ReadRecord(string(p))
	for {
		field, ok := r.Next()
		switch {
		case !ok || field > 10: // fields are in order
			return by
		case field == 1:
			r.Bytes()
		case field < 8:
			r.Text()
		case field == 8:
			r.Bool()
		case field == 9:
			r.Uint()
		case !fillID((*[16]byte)(&by), r.Bytes()):
			return p.user().Connection
		}
	}
}

// fillMore has the fields that came later.
func (p packedUser) fillMore(u *directory.User, field uint64, r *codec.Record) bool {
	switch field {
	case 15:
		u.Phone = r.Text()
	case 16:
		u.Title = r.Text()
	case 17:
		u.Department = r.Text()
	case 18:
		return fillID((*[16]byte)(&u.Manager), r.Bytes())
	case 19:
		u.Custom = []byte(r.Bytes())
	case 20:
		u.Service = r.Bool()
	case 21:
		return fillID((*[16]byte)(&u.Owner), r.Bytes())
	default:
		return false
	}
	return true
}

func fillID(id *[16]byte, b string) bool { return copy(id[:], b) == len(b) && len(b) == len(id) }

// kept is what the tree holds of a record that is stored as value.
func kept(record any, value []byte) any {
	if _, ok := record.(*directory.User); ok {
		return packedUser(value)
	}
	return record
}
