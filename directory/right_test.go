package directory_test

import (
	"reflect"
	"testing"

	"github.com/authfi/authfi/directory"
)

// TestRightsAreReadAsTheyAreWritten: every kind comes back, on and off.
func TestRightsAreReadAsTheyAreWritten(t *testing.T) {
	of, to := [16]byte{0xab, 15: 1}, [16]byte{15: 2}
	for _, right := range []directory.Right{
		{Kind: directory.RightUser, Of: of},
		{Kind: directory.RightActive, Of: of},
		{Kind: directory.RightGroup, Of: of},
		{Kind: directory.RightRole, Of: of},
		{Kind: directory.RightPermissions, Of: of, Permissions: []directory.Permission{"read:a", "1:2", "write:*"}},
		{Kind: directory.RightPermissions, Of: of, Count: 2000},
		{Kind: directory.RightMember, Of: of, To: to},
		{Kind: directory.RightMembers, Of: of, Count: 4294967295},
		{Kind: directory.RightNested, Of: of, To: to},
		{Kind: directory.RightUserRole, Of: of, To: to},
		{Kind: directory.RightGroupRole, Of: of, To: to},
		{Kind: directory.RightUnnamed, Count: 1},
	} {
		for _, on := range []bool{false, true} {
			right.On = on
			back, err := directory.ParseRight(right.String())
			if err != nil || !reflect.DeepEqual(back, right) {
				t.Errorf("%s came back as %s: %v", right, back, err)
			}
		}
	}
	if got := (directory.Right{Kind: directory.RightUnnamed + 1}).String(); got != "unknown" {
		t.Errorf("a kind of the future is %q: give the new kind a row in this test", got)
	}
}

func TestWhatIsNoRightIsRefused(t *testing.T) {
	user := directory.UserID{1}.String()
	group := directory.GroupID{1}.String()
	for _, text := range []string{
		"", " ", "+", "user", "*user " + user, "+user", "+user " + group, "+user " + user + " 0", "+user " + user + " 01",
		"+user " + user + " 1 1", "+user " + user + " read:a", "+ " + user, "+member " + group, "+member " + group + " " + group,
		"+permissions " + directory.RoleID{1}.String() + " 2 read:a", "+members " + group + " 4294967296", "+members " + group + " -1",
		"+user  " + user, "+user " + user + " ",
	} {
		if right, err := directory.ParseRight(text); err == nil {
			t.Errorf("%q is read as %s", text, right)
		}
	}
}
