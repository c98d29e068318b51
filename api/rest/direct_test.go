package rest

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// phoneBook answers for the user of an id with a title as long as the id says.
type phoneBook struct {
	authfiv1connect.UnimplementedUserServiceHandler
}

func (phoneBook) GetUser(ctx context.Context, r *authfiv1.GetUserRequest) (*authfiv1.User, error) {
	length, err := strconv.Atoi(r.GetId())
	if err != nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no such user"))
	}
	if info, ok := connect.CallInfoForHandlerContext(ctx); ok {
		info.ResponseHeader().Set("ETag", `"7"`)
	}
	return &authfiv1.User{Id: r.GetId(), Title: strings.Repeat("t", length)}, nil
}

// TestAnswersGoDirectly: what a procedure answers arrives whole, with the headers
// that it set, packed for who takes that, and of the length that is stated.
func TestAnswersGoDirectly(t *testing.T) {
	path, handler := authfiv1connect.NewUserServiceHandler(phoneBook{}, Options()...)
	root, err := New([]Service{{Path: path, Handler: handler}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(root)
	defer server.Close()
	client := http.Client{Transport: &http.Transport{DisableCompression: true}} // nothing is unpacked unseen
	get := func(id, takes string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/v1/users/"+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		if takes != "" {
			r.Header.Set("Accept-Encoding", takes)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Errorf("%s: %d bytes, %s stated, %v", id, len(body), res.Header.Get("Content-Length"), err)
		}
		if res.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		return res, string(body)
	}
	for _, row := range []struct {
		length int
		takes  string
		packed bool
	}{
		{0, "gzip", false}, // a packet carries less anyway
		{100_000, "gzip", true},
		{100_000, "br, GZIP;q=0.5", true},
		{100_000, "", false},
		{100_000, "identity", false},
		{100_000, "gzip;q=0, br", false},
		{100_000, "gzip;q=x", false},
	} {
		res, body := get(strconv.Itoa(row.length), row.takes)
		user := &authfiv1.User{}
		if err := (restCodec{}).Unmarshal([]byte(body), user); err != nil || len(user.GetTitle()) != row.length {
			t.Errorf("%d for %q: a title of %d, %v", row.length, row.takes, len(user.GetTitle()), err)
		}
		if packed := res.Header.Get("Content-Encoding") == "gzip"; packed != row.packed {
			t.Errorf("%d for %q: packed %t", row.length, row.takes, packed)
		}
		if res.Header.Get("ETag") != `"7"` || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", res.Header)
		}
	}
	if res, body := get("nobody", "gzip"); res.StatusCode != http.StatusNotFound || !strings.Contains(body, `"not_found"`) {
		t.Errorf("a failure: %d %s", res.StatusCode, body)
	}
	// The procedure itself is answered as it was.
	user, err := authfiv1connect.NewUserServiceClient(http.DefaultClient, server.URL).GetUser(t.Context(), &authfiv1.GetUserRequest{Id: "12"})
	if err != nil || len(user.GetTitle()) != 12 {
		t.Errorf("by procedure: %v, %v", user, err)
	}
}
