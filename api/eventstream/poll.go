package eventstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// PollPath is where receivers ask.
const PollPath = "/o/{slug}/events/poll"

// settleMax bounds how long a poll waits for this node to catch up.
const settleMax = 5 * time.Second

// ServeHTTP answers a poll (RFC 8936). The token says which stream; the slug of another
// organization is answered like a token that nobody has.
func (s *Streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, "invalid_request", "a receiver polls with POST")
		return
	}
	told, err := s.poll(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.bounds.write)); err != nil {
		s.fail(w, r, fmt.Errorf("a poll needs a connection with write deadlines: %w", err))
		return
	}
	write(w, http.StatusOK, told)
	// The connection's next request must not meet this deadline.
	control := http.NewResponseController(w)
	if control.Flush() == nil {
		_ = control.SetWriteDeadline(time.Time{})
	}
}

func (s *Streams) poll(w http.ResponseWriter, r *http.Request) (answer, error) {
	receiver, err := s.receiver(r)
	if err != nil {
		return answer{}, err
	}
	_, stream, err := receiver.View()
	if err != nil {
		return answer{}, err
	}
	seat, leave, err := s.seats.take(stream.ID)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	asked, err := readRequest(w, r)
	if err != nil {
		return answer{}, err
	}
	if err := s.acknowledge(r.Context(), receiver, seat, &asked); err != nil {
		return answer{}, err
	}
	return s.deliver(r.Context(), receiver, &asked)
}

func (s *Streams) receiver(r *http.Request) (*access.Receiver, error) {
	ctx, cancel := context.WithTimeout(r.Context(), settleMax)
	defer cancel()
	receiver, err := s.Gate.Receive(ctx, access.Bearer(r.Header))
	if err != nil {
		return nil, err
	}
	view, _, err := receiver.View()
	if err == nil && view.Record().Slug != r.PathValue("slug") {
		err = directory.Unauthenticated("a valid token of an event stream is required")
	}
	return receiver, err
}

// acknowledge commits what the receiver says that it has, used or not. Ids of other
// streams, and of events that it need not have, mean nothing.
func (s *Streams) acknowledge(ctx context.Context, receiver *access.Receiver, seat *seat, asked *request) error {
	if len(asked.Ack)+len(asked.SetErrs) == 0 {
		return nil
	}
	done, err := seat.pace(ctx, s.bounds.acknowledge)
	if err != nil {
		return err
	}
	defer done()
	view, stream, err := receiver.View()
	if err != nil {
		return err
	}
	command, err := acknowledgement(s.teller(view, stream), asked)
	if err != nil || command == nil {
		return err
	}
	return receiver.Acknowledge(ctx, *command)
}

// acknowledgement is the change that a request asks for, nil for none.
func acknowledgement(t *teller, asked *request) (*fsm.AcknowledgeEvents, error) {
	now, err := t.walk(directory.StreamWindow)
	if err != nil {
		return nil, err
	}
	command := &fsm.AcknowledgeEvents{}
	take := func(id string) bool {
		place, ok := placeOf(t.stream.ID, id)
		if ok = ok && slices.ContainsFunc(now.found, func(o outstanding) bool { return o.place == place }); ok {
			command.Places = append(command.Places, place)
		}
		return ok
	}
	for _, id := range asked.Ack {
		take(id)
	}
	for id, why := range asked.SetErrs { // order-free: the last refusal is any of them
		if take(id) {
			command.Refused++
			command.Refusal = fmt.Sprintf("%s: %s: %s", id, printable(why.Err), printable(why.Description))
		}
	}
	if len(command.Places) == 0 {
		return nil, nil
	}
	slices.SortFunc(command.Places, directory.EventPlace.Compare)
	command.Places = slices.Compact(command.Places)
	after := *t
	after.stream = acknowledging(t.stream, command.Places)
	then, err := after.walk(1)
	command.Through = then.clear
	return command, err
}

// deliver waits for events unless there are some, or the receiver does not want to.
func (s *Streams) deliver(ctx context.Context, receiver *access.Receiver, asked *request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.bounds.poll)
	defer cancel()
	stop := context.AfterFunc(s.closing, cancel)
	defer stop()
	for {
		view, stream, err := receiver.View()
		if err != nil {
			return answer{}, err
		}
		told := answer{Sets: map[string]string{}}
		if !stream.Paused {
			t := s.teller(view, stream)
			w, err := t.walk(asked.limit())
			if err != nil {
				return answer{}, err
			}
			if told, err = s.sign(t, &w); err != nil {
				return answer{}, err
			}
		}
		if len(told.Sets) > 0 || asked.ReturnImmediately || asked.limit() == 0 || ctx.Err() != nil {
			return told, nil
		}
		s.rest(ctx, view)
	}
}

// sign makes the tokens of an answer, as many as a batch takes.
func (s *Streams) sign(t *teller, w *walk) (answer, error) {
	told := answer{Sets: make(map[string]string, len(w.found)), MoreAvailable: w.more}
	if len(w.found) == 0 {
		return told, nil
	}
	signer, err := s.Tokens.EventSigner(t.view)
	if err != nil {
		return told, err
	}
	size := 0
	for _, o := range w.found {
		if size >= batchBytes {
			told.MoreAvailable = true
			break
		}
		signed, err := signer.Sign(*o.token)
		if err != nil {
			return told, err
		}
		size += len(signed)
		told.Sets[o.token.ID] = signed
	}
	return told, nil
}

// fail answers in the form of RFC 8935, section 2.3, which receivers read anyway.
func (s *Streams) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := directory.KindOf(err)
	switch {
	case kind == directory.KindUnauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "authentication_failed", "a valid token of an event stream is required")
	case kind == directory.KindInvalid:
		refuse(w, http.StatusBadRequest, "invalid_request", message(err))
	case kind == directory.KindExhausted:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too_many_requests", message(err))
	case kind == directory.KindUnavailable, kind == directory.KindUnknownOutcome, errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "poll again with the same acknowledgements")
	case errors.Is(err, context.Canceled): // the receiver has left
	default:
		s.Log.ErrorContext(r.Context(), "a poll failed", "path", r.URL.Path, "error", err)
		refuse(w, http.StatusInternalServerError, "server_error", "internal error")
	}
}

// message is what an error says to people.
func message(err error) string {
	if d, ok := errors.AsType[*directory.Error](err); ok {
		return d.Message
	}
	return "the request is not valid"
}

func refuse(w http.ResponseWriter, status int, code, description string) {
	write(w, status, setError{Err: code, Description: description})
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
