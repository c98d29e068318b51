package node_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/enforce"
	"github.com/authfi/authfi/node/nodetest"
)

// Deactivated through one node, a user loses a stream that is open at the gate of
// another: HTTP/1.1 and HTTP/2 alike.
func TestDeactivationEndsOpenStreams(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(service.Close)
	listen := freeAddress(t)
	c := nodetest.Start(t, func(cfg *node.Config) {
		if cfg.NodeID == "node-2" {
			cfg.Enforce.Listen = []string{listen}
			cfg.Enforce.Services = map[string]enforce.Settings{listen: {H2C: true, Upstream: service.Listener.Addr().String()}}
		}
	})
	var org, made struct{ ID string }
	c.Do(0, http.MethodPost, "/api/v1/organizations", `{"slug":"acme","name":"Acme"}`, &org)
	c.Do(0, http.MethodPost, "/api/v1/services", fmt.Sprintf(`{"org_id":%q,"name":"s","listen":[%q]}`, org.ID, listen), &made)
	c.Do(0, http.MethodPut, "/api/v1/services/"+made.ID+"/policies", `[{"path":"/data/**"}]`, nil)
	var ended []time.Duration
	for i := range 6 {
		var user struct{ ID string }
		var session struct {
			AccessToken string `json:"access_token"`
		}
		c.Do(0, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"user_name":"u%d","email":"u%d@acme.example"}`, org.ID, i, i), &user)
		c.Do(0, http.MethodPost, "/api/v1/sessions", fmt.Sprintf(`{"org_id":%q,"user_id":%q,"amr":["pwd"]}`, org.ID, user.ID), &session)
		stream := openStream(t, listen, session.AccessToken, i%2 == 1)
		began := time.Now()
		c.Do(2, http.MethodPost, "/api/v1/users/"+user.ID+"/deactivate", "", nil)
		if _, err := stream.Body.Read(make([]byte, 1)); err == nil {
			t.Fatal("the service said something")
		}
		ended = append(ended, time.Since(began))
		stream.Body.Close()
	}
	slices.Sort(ended)
	t.Logf("from the request to deactivate to the end of the stream: %v", ended)
	if worst := ended[len(ended)-1]; worst > 5*time.Second {
		t.Errorf("it took %v", worst)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// openStream waits for the gate to be there and opens an answer that does not end.
func openStream(t *testing.T, address, token string, http2 bool) *http.Response {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 20 * time.Second}
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/data/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	var last string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		answer, err := client.Do(r)
		if err == nil && answer.StatusCode == http.StatusOK {
			return answer
		}
		if last = fmt.Sprint(err); err == nil {
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			last = string(body)
		}
	}
	t.Fatalf("no stream: %s", last)
	return nil
}
