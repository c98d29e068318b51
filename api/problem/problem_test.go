package problem_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/problem"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// TestOf: every kind has a code and a word, and no text of ours gets out.
func TestOf(t *testing.T) {
	secret := errors.New("open /var/lib: secret")
	for _, c := range []struct {
		err  error
		code connect.Code
		word string
	}{
		{directory.Invalid("email", "bad"), connect.CodeInvalidArgument, "invalid_argument"},
		{directory.NotFound("user"), connect.CodeNotFound, "not_found"},
		{directory.Conflict("slug", "taken"), connect.CodeAlreadyExists, "conflict"},
		{directory.Denied("no"), connect.CodePermissionDenied, "permission_denied"},
		{directory.Precondition("version", "old"), connect.CodeFailedPrecondition, "failed_precondition"},
		{directory.Exhausted("quota", "full"), connect.CodeResourceExhausted, "resource_exhausted"},
		{directory.Unavailable("later"), connect.CodeUnavailable, "unavailable"},
		{directory.Unauthenticated("who"), connect.CodeUnauthenticated, "unauthenticated"},
		{directory.UnknownOutcome(), connect.CodeUnavailable, "unknown_outcome"},
		{fmt.Errorf("around it: %w", directory.NotFound("user")), connect.CodeNotFound, "not_found"},
		{context.Canceled, connect.CodeCanceled, ""},
		{context.DeadlineExceeded, connect.CodeUnavailable, "unavailable"},
		{&directory.Error{Kind: directory.KindInternal, Message: secret.Error()}, connect.CodeInternal, ""},
		{&directory.Error{Kind: 200, Message: "secret: a kind of the future"}, connect.CodeInternal, ""},
		{secret, connect.CodeInternal, ""},
	} {
		refused := problem.Of(c.err)
		if word := wordOf(t, refused); refused.Code() != c.code || word != c.word {
			t.Errorf("%v: %v with the word %q, want %v with %q", c.err, refused.Code(), word, c.code, c.word)
		}
		if strings.Contains(refused.Message(), "secret") {
			t.Errorf("%v: says %q", c.err, refused.Message())
		}
	}
}

func wordOf(t *testing.T, refused *connect.Error) string {
	t.Helper()
	if len(refused.Details()) == 0 {
		return ""
	}
	value, err := refused.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	return value.(*authfiv1.Problem).GetCode()
}
