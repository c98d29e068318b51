package rest

import (
	"crypto/rand"
	"fmt"
	"strconv"
)

// Option is a wish about one call.
type Option func(*wishes)

type wishes struct {
	version uint64
	key     string
	newest  bool
}

// IfVersion makes a change conditional: it is made only if the object has this version,
// otherwise the error is ErrChanged.
func IfVersion(version uint64) Option { return func(w *wishes) { w.version = version } }

// IdempotencyKey names a change, so that its repeats are one change although they are
// calls of their own, as after a restart of the program.
func IdempotencyKey(key string) Option { return func(w *wishes) { w.key = key } }

// Newest wants an answer that misses no change acknowledged before, by whomever. It
// costs a round of the cluster.
func Newest() Option { return func(w *wishes) { w.newest = true } }

// headers are what an operation sends besides its fields. What it does not take is not
// left out silently.
func (o *Operation) headers(options []Option, seen uint64) (map[string]string, error) {
	var w wishes
	for _, wish := range options {
		wish(&w)
	}
	all := map[string]string{"Accept": "application/json"}
	if w.newest {
		all[headerIndex] = "newest"
	} else if seen > 0 {
		all[headerIndex] = strconv.FormatUint(seen, 10)
	}
	switch {
	case w.version > 0 && !o.Conditional:
		return nil, fmt.Errorf("authfi: %s takes no version", o.Name)
	case w.version > 0:
		all["If-Match"] = `"` + strconv.FormatUint(w.version, 10) + `"`
	}
	switch {
	case w.key != "" && o.Read:
		return nil, fmt.Errorf("authfi: %s changes nothing and takes no key", o.Name)
	case !o.Read && w.key == "":
		w.key = rand.Text()
	}
	if w.key != "" {
		all["Idempotency-Key"] = w.key
	}
	return all, nil
}
