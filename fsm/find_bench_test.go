package fsm_test

import (
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// names makes people whose names are as alike as people's are.
type names struct{ given, family []string }

func newNames(rng *rand.Rand) names {
	syllables := strings.Fields("an be ca da el fi ga ha in jo ka li ma no ol pe ri sa ti ul va wi ya zo")
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(syllables[rng.Intn(len(syllables))])
		}
		return strings.ToUpper(b.String()[:1]) + b.String()[1:]
	}
	var n names
	for range 500 {
		n.given = append(n.given, word(2+rng.Intn(2)))
	}
	for range 5_000 {
		n.family = append(n.family, word(2+rng.Intn(3)))
	}
	return n
}

func (n names) person(rng *rand.Rand, i int) directory.User {
	given, family := n.given[rng.Intn(len(n.given))], n.family[rng.Intn(len(n.family))]
	name := strings.ToLower(fmt.Sprintf("%s.%s%d@hospital.example", given, family, i))
	return directory.User{
		ID: id[directory.UserID](i), UserName: name, Email: name, GivenName: given, FamilyName: family,
		DisplayName: given + " " + family, ExternalID: fmt.Sprintf("00u%017d", i), Active: true, Source: directory.SourceSCIM,
	}
}

// crowd is a machine with one organization of n users, without a log of them.
func crowd(b testing.TB, n int) *state.Org {
	m, err := fsm.Open(disk.NewMemory())
	if err != nil {
		b.Fatal(err)
	}
	org := id[directory.OrgID](0)
	var applied directory.Index
	send := func(envs ...*fsm.Envelope) {
		applied++
		results, err := m.Apply([]fsm.Entry{{Index: applied, Term: 1, Envelopes: envs}})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range results[0] {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	send(
		&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: operator.ID, Name: "root"}}},
		&fsm.Envelope{Actor: operator, Command: &fsm.CreateOrganization{Organization: directory.Organization{ID: org, Slug: "a", Name: "a", UserQuota: directory.UserQuotaMax}, Key: directory.SigningKey{ID: "k"}}},
		&fsm.Envelope{Org: org, Actor: operator, Command: &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}}},
	)
	rng := rand.New(rand.NewSource(42))
	people := newNames(rng)
	for i := 0; i < n; {
		var envs []*fsm.Envelope
		for ; i < n && len(envs) < 1000; i++ {
			envs = append(envs, &fsm.Envelope{Org: org, Actor: operator, Now: 1, Command: &fsm.CreateUser{User: people.person(rng, i)}})
		}
		send(envs...)
	}
	// What a node holds that has read its state from the store.
	from, to := io.Pipe()
	go func() { to.CloseWithError(fsm.WriteSnapshot(to, m.Root())) }()
	w, err := state.LoadWriter(func(row func(key, value []byte) error) (state.Meta, error) { return fsm.ReadSnapshot(from, row) })
	if err != nil {
		b.Fatal(err)
	}
	root, _ := w.Publish(applied, 1)
	o, _ := root.Org(org)
	return o
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const crowdSize = 100_000

func BenchmarkMemoryOfUsers(b *testing.B) {
	for range b.N {
		before := heap()
		o := crowd(b, crowdSize)
		b.ReportMetric(float64(heap()-before)/crowdSize, "B/user")
		runtime.KeepAlive(o)
	}
}

// BenchmarkUserPages measures a page of 50 users with its total, by how much the
// question finds.
func BenchmarkUserPages(b *testing.B) {
	o := crowd(b, crowdSize)
	questions := func(length int) (texts []string) {
		rng := rand.New(rand.NewSource(7))
		o.EachUser(directory.UserID{}, func(u *directory.User) bool {
			if rng.Intn(50) == 0 {
				texts = append(texts, u.FamilyName[:length])
			}
			return true
		})
		return texts
	}
	for _, length := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("begins with %d letters", length), func(b *testing.B) {
			texts := questions(length)
			page(b, func(i int) int { return o.FindUsers(texts[i%len(texts)], id[directory.UserID](i%crowdSize), 50).Total })
		})
	}
	b.Run("begins with two words", func(b *testing.B) {
		page(b, func(i int) int {
			u, _ := o.User(id[directory.UserID](i % crowdSize))
			return o.FindUsers(u.DisplayName, directory.UserID{}, 50).Total
		})
	})
	for _, descending := range []bool{false, true} {
		b.Run(fmt.Sprintf("in name order, descending %v", descending), func(b *testing.B) {
			page(b, func(i int) int {
				u, _ := o.User(id[directory.UserID](i % crowdSize))
				n := 0
				o.EachUserByName(u.UserName, descending, func(*directory.User) bool { n++; return n < 50 })
				return n
			})
		})
	}
}

// page reports how long the slowest hundredth of the pages took, and how much of
// a core a page costs, which does not depend on who else uses the machine.
func page(b *testing.B, ask func(i int) (found int)) {
	var found int
	cpu := cpuTime(b)
	took := make([]time.Duration, 0, b.N)
	for i := range b.N {
		start := time.Now()
		found += ask(i * 7919)
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(found)/float64(b.N), "found")
}

func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
