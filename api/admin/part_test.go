package admin

import (
	"context"
	"strings"
	"testing"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// A part that panics fails alone: its goroutine is not the server's, so nobody
// else would catch it.
func TestPanicIsThePartsFailure(t *testing.T) {
	p := newPart("", &authfiv1.DeleteUserRequest{}, func(context.Context, *authfiv1.DeleteUserRequest) (*authfiv1.DeleteUserResponse, error) {
		panic("broken")
	})
	answer, err := p.call(t.Context())
	if answer != nil || err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("answer %v, error %v", answer, err)
	}
	if shown := refusal(err); shown.Message() != "internal error" {
		t.Errorf("the client sees %q", shown.Message())
	}
}
