package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/directory"
)

// discarded is an answer that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) Flush()                      {}

// busyUser is in five groups of three roles with ten permissions each.
func busyUser(d *direct) directory.UserID {
	user := d.user("busy")
	for g := range 5 {
		group := d.group(fmt.Sprintf("group-%d", g), user)
		for r := range 3 {
			var permissions []directory.Permission
			for p := range 10 {
				permissions = append(permissions, directory.Permission(fmt.Sprintf("read:thing-%04d", g*30+r*10+p)))
			}
			d.give(d.role(fmt.Sprintf("role-%d-%d", g, r), permissions...), group)
		}
	}
	return user
}

// cpuTime is what the process has used, its collector included: unlike the clock
// it does not count what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkQuestions is what the handlers cost that applications call all the
// time, without network and TLS.
func BenchmarkQuestions(b *testing.B) {
	s, d, _ := newDirect(b)
	handler, err := admin.New(configured(b, d.log, d.log.machine.Root, d.ring))
	must(b, err)
	user := busyUser(d).String()
	for _, row := range []struct{ name, method, path, media, body string }{
		{"check/rest", http.MethodPost, "/api/v1/check", "application/json", `{"user_id":"` + user + `","permission":"read:thing-0017"}`},
		{"check/connect", http.MethodPost, "/authfi.v1.PermissionService/Check", "application/json", `{"userId":"` + user + `","permission":"read:thing-0017"}`},
		{"list/rest", http.MethodGet, "/api/v1/users/" + user + "/permissions", "", ""},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpuTime(b)
			for b.Loop() {
				r := httptest.NewRequest(row.method, row.path, strings.NewReader(row.body))
				r.Header.Set("Authorization", "Bearer "+s.token)
				if row.media != "" {
					r.Header.Set("Content-Type", row.media)
				}
				w := &discarded{header: http.Header{}}
				handler.ServeHTTP(w, r)
				if w.status != http.StatusOK && w.status != 0 {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-began)/float64(b.N), "cpu-ns/op")
		})
	}
}
