package admin

import (
	"errors"
	"fmt"

	"github.com/authfi/authfi/directory"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func convert[From, To any](from []From, one func(From) To) []To {
	to := make([]To, len(from))
	for i, f := range from {
		to[i] = one(f)
	}
	return to
}

// timestamp has no value for the zero time: what has not happened.
func timestamp(t directory.Time) *timestamppb.Timestamp {
	if t == 0 {
		return nil
	}
	return timestamppb.New(t.Std())
}

// optionalID is the text of an id, empty when there is none.
func optionalID[ID interface {
	fmt.Stringer
	IsZero() bool
}](id ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// identified is a request about one object.
type identified interface {
	proto.Message
	GetId() string
}

// inField names the field as this request has it: the same id is user_id in one
// request and id in another.
func inField(field string, err error) error {
	var own *directory.Error
	if !errors.As(err, &own) {
		return err
	}
	named := *own
	named.Field = field
	return &named
}
