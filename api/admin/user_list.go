package admin

import (
	"encoding/binary"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// userListing is what users can be asked for.
func userListing(org *state.Org) *listing[*directory.User] {
	return &listing[*directory.User]{
		noun: "user", total: org.Users(),
		each: func(after [16]byte, yield func(*directory.User) bool) { org.EachUser(after, yield) },
		id:   func(u *directory.User) [16]byte { return u.ID },
		find: finder(org.FindUsers), kept: map[string]orderedWalk[*directory.User]{"user_name": org.EachUserByName},
		columns: userColumns(org), inner: customColumns(org.Schema()),
		sorts: map[string]func(*directory.User) string{
			"user_name":    func(u *directory.User) string { return directory.Fold(u.UserName) },
			"email":        func(u *directory.User) string { return directory.Fold(u.Email) },
			"display_name": func(u *directory.User) string { return directory.Fold(u.DisplayName) },
			"created":      func(u *directory.User) string { return timeKey(u.Created) },
			"modified":     func(u *directory.User) string { return timeKey(u.Modified) },
		},
		exact: map[string]lookup[*directory.User]{
			"id":          one(directory.ParseUserID, org.User),
			"user_name":   one(asText, org.UserByName),
			"email":       org.EachUserByEmail,
			"external_id": org.EachUserByExternalID,
		},
	}
}

// finder is a question of the state as a listing asks it.
func finder[ID ~[16]byte, T any](find func(string, ID, int) state.Found[T]) func(string, [16]byte, int) ([]*T, int, bool) {
	return func(q string, after [16]byte, limit int) (page []*T, total int, more bool) {
		f := find(q, ID(after), limit)
		return f.Page, f.Total, f.More
	}
}

// one is the lookup of at most one object, by what parse makes of the text.
func one[T, Key any](parse func(string) (Key, error), find func(Key) (T, bool)) lookup[T] {
	return func(text string, yield func(T) bool) {
		key, err := parse(text)
		if err != nil {
			return
		}
		if item, ok := find(key); ok {
			yield(item)
		}
	}
}

func asText(s string) (string, error) { return s, nil }

// timeKey is a time whose bytes are in order; no record is from before 1970.
func timeKey(t directory.Time) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(t)))
}

func userColumns(org *state.Org) map[string]column[*directory.User] {
	type (
		text   = textColumn[*directory.User]
		flag   = flagColumn[*directory.User]
		when   = timeColumn[*directory.User]
		object = objectColumn[*directory.User]
		userID = idColumn[*directory.User, directory.UserID]
	)
	return map[string]column[*directory.User]{
		"id":           userID{func(u *directory.User) directory.UserID { return u.ID }, directory.ParseUserID},
		"user_name":    text(func(u *directory.User) string { return u.UserName }),
		"email":        text(func(u *directory.User) string { return u.Email }),
		"display_name": text(func(u *directory.User) string { return u.DisplayName }),
		"given_name":   text(func(u *directory.User) string { return u.GivenName }),
		"family_name":  text(func(u *directory.User) string { return u.FamilyName }),
		"external_id":  exactColumn[*directory.User](func(u *directory.User) string { return u.ExternalID }),
		"active":       flag(func(u *directory.User) bool { return u.Active }),
		"source":       text(func(u *directory.User) string { return u.Source.String() }),
		"attributes":   object(func(u *directory.User) bool { return len(u.Attributes) > 0 }),
		"created":      when(func(u *directory.User) directory.Time { return u.Created }),
		"modified":     when(func(u *directory.User) directory.Time { return u.Modified }),
		"version":      numberColumn[*directory.User](func(u *directory.User) float64 { return float64(u.Version) }),
		"phone":        text(func(u *directory.User) string { return u.Phone }),
		"title":        text(func(u *directory.User) string { return u.Title }),
		"department":   text(func(u *directory.User) string { return u.Department }),
		"manager_id":   userID{func(u *directory.User) directory.UserID { return u.Manager }, directory.ParseUserID},
		"custom":       object(func(u *directory.User) bool { return len(u.Custom) > 0 }),
		"service":      flag(func(u *directory.User) bool { return u.Service }),
		"owner_id":     userID{func(u *directory.User) directory.UserID { return u.Owner }, directory.ParseUserID},
		"connection_id": idColumn[*directory.User, directory.ConnectionID]{
			func(u *directory.User) directory.ConnectionID { return u.Connection }, directory.ParseConnectionID,
		},
		"owned_fields": listColumn[*directory.User](func(u *directory.User) []string { return fsm.OwnedFields(org, u) }),
	}
}
