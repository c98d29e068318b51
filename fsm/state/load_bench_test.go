package state

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/authfi/authfi/directory"
)

// Rows of the organization that is loaded: most rows of a directory are memberships.
const (
	loadUsers        = 2_000
	loadGroups       = 40
	loadGroupsOfUser = 5
)

func numbered[ID ~[16]byte](n int) (id ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// storedRows are those rows with their meta.
func storedRows() (rows []Write, meta Meta) {
	org := numbered[directory.OrgID](0)
	add := func(key string, value []byte) {
		rows = append(rows, Write{Key: storedKey(org, key), Value: value})
		meta.Sum = meta.Sum.add(rowHash(key, value))
	}
	add(string(rune(tableOrganization)), encodeRow(&directory.Organization{ID: org, Slug: "a", Name: "a"}))
	for g := range loadGroups {
		group := &directory.Group{ID: numbered[directory.GroupID](g), Name: fmt.Sprintf("group-%d", g)}
		add(idKey(tableGroup, group.ID), encodeRow(group))
	}
	for i := range loadUsers {
		name := fmt.Sprintf("person-%07d", i)
		u := &directory.User{ID: numbered[directory.UserID](i), UserName: name, Email: name + "@bench.example", DisplayName: name, Active: true}
		add(idKey(tableUser, u.ID), encodeRow(u))
		for g := range loadGroupsOfUser {
			add(pairKey(tableMember, numbered[directory.GroupID]((i+g)%loadGroups), u.ID), edgeValue)
		}
	}
	return rows, meta
}

// BenchmarkLoadWriter is a start without the disk.
func BenchmarkLoadWriter(b *testing.B) {
	rows, meta := storedRows()
	b.ReportAllocs()
	for b.Loop() {
		_, err := LoadWriter(func(row func(key, value []byte) error) (Meta, error) {
			for _, r := range rows {
				if err := row(r.Key, r.Value); err != nil {
					return meta, err
				}
			}
			return meta, nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
