package watch

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/authfi/authfi/api/problem"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// headerLast is what a client of server-sent events repeats: the id of the last
// one that it saw.
const headerLast = "Last-Event-ID"

// Events serves the feed as server-sent events. The data of each is the message
// that Watch sends, as REST writes messages, and its name is the message's type;
// the last one of a stream that the node ends is "closed", with a problem.
func (w *Watcher) Events() http.Handler {
	return http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		out := newOutlet(to, r, w.bounds)
		defer out.end()
		s, err := w.openEvents(r, out)
		if err != nil {
			rest.WriteError(to, r, problem.Of(err))
			return
		}
		defer s.leave()
		header := to.Header()
		header.Set("Content-Type", "text/event-stream")
		header.Set("X-Accel-Buffering", "no") // proxies hold an answer back otherwise
		header.Set(headerIndex, strconv.FormatUint(uint64(s.opened), 10))
		if r.Method == http.MethodHead {
			return
		}
		lines := eventLines{to: to}
		s.send = lines.message
		if refused, listens := s.farewell(r.Context(), s.run(r.Context())); listens {
			_ = lines.write("", "closed", rest.ErrorJSON(refused)) // it is the last in any case
		}
	})
}

func (w *Watcher) openEvents(r *http.Request, out *outlet) (*stream, error) {
	asked, err := readQuery(r.URL.RawQuery, r.Header.Get(headerLast))
	if err != nil {
		return nil, err
	}
	complete, err := newRequest(asked, r.Header)
	if err != nil {
		return nil, err
	}
	return w.open(r.Context(), complete, out)
}

// readQuery reads the parameters, which are the fields of the message. The id of
// the last event seen replaces where to begin: a client that connects again does
// so with the same URL.
func readQuery(raw, last string) (*authfiv1.WatchRequest, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, directory.Invalid("", "the query is malformed")
	}
	m := &authfiv1.WatchRequest{}
	for name, given := range values {
		if err := readParameter(m, name, given); err != nil {
			return nil, err
		}
	}
	if last == "" {
		return m, nil
	}
	m.Snapshot = false
	if m.After, m.AfterOrdinal, err = readID(last); err != nil {
		return nil, err
	}
	return m, nil
}

func readParameter(m *authfiv1.WatchRequest, name string, given []string) (err error) {
	if name == "type" {
		m.Type = given
		return nil
	}
	if len(given) != 1 {
		return directory.Invalid(name, "is given more than once")
	}
	text := given[0]
	switch name {
	case "org_id":
		m.OrgId = text
	case "object":
		m.Object = text
	case "after":
		m.After, err = strconv.ParseUint(text, 10, 64)
	case "after_ordinal":
		var ordinal uint64
		ordinal, err = strconv.ParseUint(text, 10, 32)
		m.AfterOrdinal = new(uint32(ordinal))
	case "snapshot":
		m.Snapshot = text == "true"
		if !m.Snapshot && text != "false" {
			err = errors.New("neither")
		}
	default:
		return directory.Invalid(name, "there is no such parameter")
	}
	if err != nil {
		return directory.Invalid(name, "not a valid value")
	}
	return nil
}

// readID reads INDEX.ORDINAL, which is of an event, or INDEX, of a heartbeat and
// of synced.
func readID(text string) (index uint64, ordinal *uint32, err error) {
	first, second, both := strings.Cut(text, ".")
	index, err = strconv.ParseUint(first, 10, 64)
	if err == nil && both {
		var n uint64
		n, err = strconv.ParseUint(second, 10, 32)
		ordinal = new(uint32(n))
	}
	if err != nil || index == 0 {
		return 0, nil, directory.Invalid(headerLast, "is not the id of an event of this feed")
	}
	return index, ordinal, nil
}

// eventLines writes server-sent events.
type eventLines struct{ to http.ResponseWriter }

// message names the place behind it in its id. Rows have none, and a resync takes
// back the one before: a client that is cut off among the rows must not go on
// from a place that has no meaning any more.
func (l eventLines) message(m *authfiv1.Event) error {
	data, err := rest.AppendJSON(nil, m)
	if err != nil {
		return err
	}
	id := ""
	switch m.GetType() {
	case typeRow:
	case typeResync:
		id = "id\n"
	case typeHeartbeat, typeSynced:
		id = fmt.Sprintf("id: %d\n", m.GetIndex())
	default:
		id = fmt.Sprintf("id: %d.%d\n", m.GetIndex(), m.GetOrdinal())
	}
	return l.write(id, m.GetType(), data)
}

// write needs no escaping: neither a type nor JSON holds a line's end.
func (l eventLines) write(id, name string, data []byte) error {
	if _, err := fmt.Fprintf(l.to, "%sevent: %s\ndata: %s\n\n", id, name, data); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}
