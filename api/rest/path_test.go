package rest

import (
	"net/url"
	"testing"
)

func TestRoutedPath(t *testing.T) {
	for sent, want := range map[string]string{
		"/api/v1/users":                  "/api/v1/users",
		"/api/v1/%75sers":                "/api/v1/users",
		"/api/v1/permissions/read:x":     "/api/v1/permissions/read%3Ax",
		"/api/v1/permissions/read%3Ax":   "/api/v1/permissions/read%3Ax",
		"/api/v1/permissions/read:x/a:b": "/api/v1/permissions/read%3Ax/a%3Ab",
		"/api/v1/users/a%2Fb":            "/api/v1/users/a%2Fb",
		"/api/v1/users/a%2541":           "/api/v1/users/a%2541",
		"/api/v1/users/a%20b%3Fc":        "/api/v1/users/a%20b%3Fc",
		"/api/v1/users/":                 "/api/v1/users/",
		"/api/v1/users/:":                "/api/v1/users/%3A",
	} {
		u, err := url.Parse("https://auth.example" + sent)
		if err != nil {
			t.Fatal(err)
		}
		if got := routedPath(u); got != want {
			t.Errorf("%s: %s, want %s", sent, got, want)
		}
	}
}
