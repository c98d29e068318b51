package bpf

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// dry sets the routes of the rig as a dry run, or enforces them.
func (r *rig) dry(t *testing.T, on bool) {
	t.Helper()
	s := policy.Service{Version: 7, Routes: theRoutes, DryRun: on}
	program, err := s.Compile(theOrg, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
}

// told reads refusals of the kernel until there are n.
func (r *rig) told(t *testing.T, n int) (all []Refusal) {
	t.Helper()
	refusals, err := r.Refusals()
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(10*time.Second, func() { refusals.Close() })
	defer late.Stop()
	if err := refusals.Run(func(one Refusal) {
		if all = append(all, one); len(all) == n {
			refusals.Close()
		}
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDryRunCountsAndRefusesNothing(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		r := newRig(t, listen)
		r.dry(t, true)
		for _, row := range []struct{ request, want string }{
			{get("/api/patients/7", ""), "200 GET /api/patients/7 0"},
			{get("/nowhere", ""), "200 GET /nowhere 0"},
			{get("/api/patients/7", tokenNurse), "200 GET /api/patients/7 0"},
			{post("/api/patients/7", tokenNurse, "abc"), "200 POST /api/patients/7 3"},
			{get("//x", ""), "200 GET //x 0"}, // what cannot be read
		} {
			if got := exchange(t, r.dial(t), row.request); got != row.want {
				t.Errorf("%q: %s, want %s", row.request, got, row.want)
			}
		}
		var got []string
		for _, one := range r.told(t, 4) {
			d := one.Decision
			got = append(got, fmt.Sprint(policy.MethodName(one.Method), " ", d.Route, " ", d.Reason, " ", d.DryRun))
		}
		if want := "[GET 1 no_token true GET -1 no_route true POST 0 insufficient_permission true  -1 malformed_request true]"; fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
		counts, err := r.Verdicts()
		if c := counts[r.address]; err != nil || c[policy.ReasonNoToken] != 1 || c[policy.ReasonAllowed] != 1 || c[policy.ReasonMalformed] != 1 {
			t.Errorf("counts %v, %v", c, err)
		}
	}
}

// TestEndOfADryRunReachesOpenConnections: those that are read, and those that are not.
func TestEndOfADryRunReachesOpenConnections(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	r.dry(t, true)
	read, unread, idle := r.dial(t), r.dial(t), r.dial(t)
	const upgrade = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for conn, request := range map[net.Conn]string{read: get("/api/patients/7", ""), unread: upgrade, idle: upgrade} {
		if got := exchange(t, conn, request); got[:3] != "200" {
			t.Fatalf("%q: %s", request, got)
		}
	}
	if got := exchange(t, unread, get("/secret", "")); got != "200 GET /secret 0" {
		t.Fatalf("what follows an upgrade in a dry run: %s", got)
	}
	if err := r.Reap(); err != nil {
		t.Fatal(err)
	}
	served := r.served.Load()
	r.dry(t, false)
	if got := exchange(t, read, get("/api/patients/7", "")); got != "401 no_token" {
		t.Errorf("a connection that is read: %s", got)
	}
	if _, err := io.WriteString(unread, get("/secret", "")); err != nil {
		t.Fatal(err)
	}
	if err := r.Reap(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{unread, idle} {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Error("a connection that is not read lives on")
		} else if failed, ok := err.(net.Error); ok && failed.Timeout() {
			t.Error("a connection that is not read was not ended")
		}
	}
	if r.served.Load() != served {
		t.Errorf("%d requests were served after the dry run", r.served.Load()-served)
	}
}

// TestRefusalNamesUserRouteAndVersion, of an enforced service.
func TestRefusalNamesUserRouteAndVersion(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	r.dry(t, false)
	// Roles are asked for after the second factor, which the nurse has.
	if got := exchange(t, r.dial(t), post("/api/patients/7", tokenNurse, "")); got != "403 insufficient_permission" {
		t.Fatal(got)
	}
	one := r.told(t, 1)[0]
	want := policy.Decision{Reason: policy.ReasonRights, Route: 0, Version: 7}
	if one.Decision != want || one.Subject != nurse || one.Method != policy.MethodPost || one.Listen != r.address || time.Since(one.Time) > time.Minute {
		t.Errorf("told %+v, want %+v", one, want)
	}
}
