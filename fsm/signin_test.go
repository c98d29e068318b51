package fsm_test

import (
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// signIn opens session n of user 1.
func (w *ward) signIn(n int, methods ...string) error {
	w.t.Helper()
	return w.try(&fsm.StartSession{ID: id[directory.SessionID](n), User: id[directory.UserID](1), Methods: methods, Refresh: [32]byte{byte(n)}})
}

// refresh presents the first refresh token of session n again and again.
func (w *ward) refresh(n int) error {
	w.t.Helper()
	return w.send(&fsm.Envelope{
		Actor: directory.Actor{Kind: directory.ActorNode},
		Command: &fsm.RefreshSession{
			ID: id[directory.SessionID](n), Presented: [32]byte{byte(n)}, Refresh: [32]byte{byte(n)},
		},
	})[0].Err
}

func (w *ward) settle(in directory.SignIn) {
	w.t.Helper()
	w.must(&fsm.UpdateOrganization{SignIn: &in})
}

// ended is why a session ended; empty while it has not.
func (w *ward) ended(n int) string {
	w.t.Helper()
	s, ok := w.view().Session(id[directory.SessionID](n))
	if !ok {
		w.t.Fatalf("no session %d", n)
	}
	if (s.Ended == 0) != (s.Reason == "") {
		w.t.Errorf("session %d ended at %d: %q", n, s.Ended, s.Reason)
	}
	return s.Reason
}

func (w *ward) pass(d time.Duration) { w.now = w.now.Add(d) }

func newSignIns(t *testing.T) *ward {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(1)})
	return w
}

func TestSessionsDieByTheOrganizationsOwnTimes(t *testing.T) {
	w := newSignIns(t)
	w.settle(directory.SignIn{SessionIdle: 10 * time.Minute, SessionMax: 25 * time.Minute})
	for n := range 2 {
		if err := w.signIn(n); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(10*time.Minute - time.Millisecond)
	if err := w.refresh(0); err != nil {
		t.Errorf("at the end of the idle time: %v", err)
	}
	w.pass(time.Millisecond)
	if err := w.refresh(1); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("after the idle time: %v", err)
	}
	w.pass(9 * time.Minute)
	if err := w.refresh(0); err != nil {
		t.Errorf("within the idle time: %v", err)
	}
	w.pass(6 * time.Minute) // 25 in all
	if err := w.refresh(0); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("after the whole time: %v", err)
	}
}

func TestStricterSettingsEndSessions(t *testing.T) {
	const changed = "sign-in settings changed"
	for _, row := range []struct {
		what    string
		methods []string
		age     time.Duration
		to      directory.SignIn
		ends    bool
	}{
		{"a shorter idle time that has passed", nil, 20 * time.Minute, directory.SignIn{SessionIdle: 20 * time.Minute}, true},
		{"a shorter idle time that has not", nil, 20*time.Minute - time.Millisecond, directory.SignIn{SessionIdle: 20 * time.Minute}, false},
		{"a shorter life that has passed", nil, time.Hour, directory.SignIn{SessionMax: time.Hour}, true},
		{"a shorter life that has not", nil, time.Hour - time.Millisecond, directory.SignIn{SessionMax: time.Hour}, false},
		{"more factors than it has", []string{"pwd"}, 0, directory.SignIn{MFA: true}, true},
		{"as many factors as it has", []string{"pwd", "otp"}, 0, directory.SignIn{MFA: true}, false},
		{"what was dead before", nil, directory.SessionIdleLife, directory.SignIn{SessionMax: directory.SessionMaxLife}, true},
	} {
		w := newSignIns(t)
		if err := w.signIn(0, row.methods...); err != nil {
			t.Fatal(err)
		}
		w.pass(row.age)
		w.settle(row.to)
		want := ""
		if row.ends {
			want = changed
		}
		if got := w.ended(0); got != want {
			t.Errorf("%s: ended for %q", row.what, got)
		}
		if row.ends {
			w.settle(directory.SignIn{})
			if err := w.refresh(0); directory.KindOf(err) != directory.KindUnauthenticated {
				t.Errorf("%s: milder settings bring the session back: %v", row.what, err)
			}
		}
	}
}

// TestMilderSettingsReviveNothing: what died by the old settings and was not ended
// by anybody ends with the change.
func TestMilderSettingsReviveNothing(t *testing.T) {
	w := newSignIns(t)
	w.settle(directory.SignIn{SessionIdle: 10 * time.Minute})
	if err := w.signIn(0); err != nil {
		t.Fatal(err)
	}
	w.pass(10 * time.Minute)
	if err := w.signIn(1); err != nil {
		t.Fatal(err)
	}
	w.settle(directory.SignIn{})
	if err := w.refresh(1); err != nil {
		t.Errorf("a session that was alive: %v", err)
	}
	if _, ok := w.view().Session(id[directory.SessionID](0)); ok && w.ended(0) == "" {
		t.Error("a session that was dead is alive")
	}
	if err := w.refresh(0); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a session that was dead: %v", err)
	}
}

func TestOneFactorIsNotEnough(t *testing.T) {
	w := newSignIns(t)
	w.settle(directory.SignIn{MFA: true})
	for _, methods := range [][]string{nil, {"pwd"}, {"pwd", "pwd"}} {
		if err := w.signIn(0, methods...); directory.KindOf(err) != directory.KindPrecondition {
			t.Errorf("%v: %v", methods, err)
		}
	}
	for n, methods := range [][]string{{"pwd", "otp"}, {"mfa"}} {
		if err := w.signIn(n, methods...); err != nil {
			t.Errorf("%v: %v", methods, err)
		}
	}
}

// TestSuspendedOrganizationHasNoSessions: not even by an operator.
func TestSuspendedOrganizationHasNoSessions(t *testing.T) {
	w := newSignIns(t)
	if err := w.signIn(0); err != nil {
		t.Fatal(err)
	}
	w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	if got := w.ended(0); got != "organization suspended" {
		t.Errorf("ended for %q", got)
	}
	if err := w.signIn(1); directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("a new session: %v", err)
	}
	w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationActive})
	if err := w.refresh(0); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a session from before: %v", err)
	}
	if err := w.signIn(2); err != nil {
		t.Errorf("after the suspension: %v", err)
	}
}
