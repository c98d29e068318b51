package fsm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// namesOfIDs are the names of users whom an index gives, each once and sorted.
func namesOfIDs(view *state.Org, ids []directory.UserID) string {
	var names []string
	for _, id := range ids {
		u, ok := view.User(id)
		if !ok {
			return "somebody who is gone"
		}
		names = append(names, u.UserName)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestFurtherAddressesNarrowDown: a provider sends several addresses of a user, of which
// the record has one.
func TestFurtherAddressesNarrowDown(t *testing.T) {
	w := newWard(t)
	for i, u := range []directory.User{
		{UserName: "ada", Email: "ada@work.example", Attributes: []byte(`{"active":true,"emails":[{"primary":true,"type":"work","value":"ada@work.example"},{"type":"home","value":"Ada@Home.example"}],"userName":"ada"}`)},
		{UserName: "bob", Email: "bob@x.example", Attributes: []byte(`{"emails":[{"value":"bob@x.example"}],"title":"\"emails\":[{\"value\":\"no@x.example\"},1]"}`)},
		{UserName: "cy@x.example", Email: "cy@x.example", Attributes: []byte(` { "name" : {"emails":[{"value":"inner@x.example"},{}]} , "emails" : [ {"value":"cy@x.example"} , null, 5, {"value":7}, "plain@x.example", {"value":"a,]\"}\\"} ] } `)},
		{UserName: "dan", Attributes: []byte(`{"emails":[{"primary":true},{"value":"DAN@x.example"}]}`)},
		{UserName: "eve", Attributes: []byte(`{"emails":[{"value":"eve@x.example"},`)},
		{UserName: "fay", Attributes: []byte(`{"emails":{"value":"a@x.example","type":"b@x.example"}}`)},
	} {
		u.ID, u.Active = id[directory.UserID](i), true
		w.must(&fsm.CreateUser{User: u})
	}
	check := func(text string, begins bool, want string) {
		t.Helper()
		if got := namesOfIDs(w.view(), w.view().UsersByAddress(text, begins)); got != want {
			t.Errorf("%q, %v: %q, want %q", text, begins, got, want)
		}
	}
	check("ADA@home.example", false, "ada")
	check("ada@work.example", false, "ada")
	check("ada@", true, "ada")
	check("ada@home", false, "")
	check("bob@x.example", false, "bob")
	check("no@x.example", false, "")
	check("cy@x.example", false, "cy@x.example")
	check("plain@x.example", false, "cy@x.example")
	check(`a,]"}\`, false, "cy@x.example")
	check("inner@x.example", false, "")
	check("dan@x.example", false, "dan")
	check("eve@x.example", false, "")

	w.must(&fsm.UpdateUser{User: directory.User{ID: id[directory.UserID](0), UserName: "ada", Email: "ada@home.example", Active: true,
		Attributes: []byte(`{"emails":[{"value":"new@x.example"},{"value":"ada@home.example"}]}`)}})
	w.must(&fsm.DeleteUser{User: id[directory.UserID](3)})
	check("ada@home.example", false, "ada")
	check("new@x.example", false, "ada")
	check("ada@work.example", false, "")
	check("dan@x.example", false, "")
}

// TestAddressesPerUserMax: who has more addresses than have rows is found by each, and
// nobody else is by looking at more.
func TestAddressesPerUserMax(t *testing.T) {
	w := newWard(t)
	for i, n := range []int{state.AddressesPerUserMax + 1, state.AddressesPerUserMax + 2, 2} { // the first is the record's
		var list []string
		for k := range n {
			list = append(list, fmt.Sprintf(`{"value":"%d-%d@x.example"}`, i, k))
		}
		if i == 2 { // longer than an address
			list[1] = `{"value":"` + strings.Repeat("a", directory.IdentifierMax+1) + `"}`
		}
		w.must(&fsm.CreateUser{User: directory.User{ID: id[directory.UserID](i), UserName: fmt.Sprint("u", i), Email: fmt.Sprintf("%d-0@x.example", i), Active: true,
			Attributes: []byte(`{"emails":[` + strings.Join(list, ",") + `]}`)}})
	}
	for text, want := range map[string]string{
		fmt.Sprintf("0-%d@x.example", state.AddressesPerUserMax):   "u0 u1 u2",
		fmt.Sprintf("1-%d@x.example", state.AddressesPerUserMax+1): "u1 u2",
		strings.Repeat("a", directory.IdentifierMax+1):             "u1 u2",
		"nobody@x.example": "u1 u2",
	} {
		if got := namesOfIDs(w.view(), w.view().UsersByAddress(text, false)); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	for i := range 3 {
		w.must(&fsm.UpdateUser{User: directory.User{ID: id[directory.UserID](i), UserName: fmt.Sprint("u", i), Active: true}})
	}
	if got := namesOfIDs(w.view(), w.view().UsersByAddress("nobody@x.example", false)); got != "" {
		t.Errorf("without addresses: %q", got)
	}
}

// TestNarrowingLosesNobody: for random names and questions everybody for whom a text is a
// name, or begins one, is among those whom the indexes give.
func TestNarrowingLosesNobody(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	word := func() string {
		return []string{"ann", "Anna", "ANN-marie", "(ann)", "É", "  ", "o’hara", strings.Repeat("long", 8), "\U0001F469\u200d⚕", "a b", "x"}[random.IntN(11)]
	}
	phrase := func(most int) (text string) {
		for range random.IntN(most) {
			text += word() + []string{"", " ", "  ", "-"}[random.IntN(4)]
		}
		return text[:min(len(text), 40)]
	}
	valid := func(text string) string { return strings.ToValidUTF8(text, "") }
	w := newWard(t)
	for i := range 200 {
		u := directory.User{ID: id[directory.UserID](i), UserName: valid(fmt.Sprintf("%s%d", word(), i)), Active: true,
			DisplayName: valid(phrase(4)), GivenName: valid(phrase(3)), FamilyName: valid(phrase(3)), Email: valid(phrase(2)), ExternalID: valid(phrase(2))}
		if i%10 == 0 { // more words than have rows, and then one
			u.FamilyName = ""
			for n := range state.WordsPerUserMax + 1 {
				u.FamilyName += fmt.Sprintf("w%d ", n)
			}
			u.DisplayName = "last " + u.DisplayName
		}
		w.must(&fsm.CreateUser{User: u})
	}
	view, narrowed := w.view(), 0
	for range 2000 {
		text := valid([]string{phrase(3), word(), "last", "w3"}[random.IntN(4)])
		if text == "" {
			continue
		}
		folded := directory.Fold(text)
		byWord, words := view.UsersByWord(text)
		for about, index := range map[string]struct {
			ids []directory.UserID
			of  func(u *directory.User) []string
		}{
			"name":        {view.UsersByName(text, true), func(u *directory.User) []string { return []string{directory.Fold(u.UserName)} }},
			"address":     {view.UsersByAddress(text, true), func(u *directory.User) []string { return []string{directory.Fold(u.Email)} }},
			"external id": {view.UsersByExternalID(folded, true), func(u *directory.User) []string { return []string{u.ExternalID} }},
			"word": {byWord, func(u *directory.User) []string {
				return []string{directory.Fold(u.DisplayName), directory.Fold(u.GivenName), directory.Fold(u.FamilyName)}
			}},
		} {
			if about == "word" && !words {
				continue
			}
			narrowed += view.Users() - len(index.ids)
			view.EachUser(directory.UserID{}, func(u *directory.User) bool {
				begins := slices.ContainsFunc(index.of(u), func(s string) bool { return strings.HasPrefix(s, folded) })
				if begins && !slices.Contains(index.ids, u.ID) {
					t.Errorf("%s %q loses %q %q %q %q", about, text, u.UserName, u.DisplayName, u.GivenName, u.FamilyName)
				}
				return true
			})
		}
	}
	if narrowed == 0 {
		t.Error("nothing is narrowed down")
	}
}
