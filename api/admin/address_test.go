package admin_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/authfi/authfi/directory"
)

// The address beyond what a node can guard was written, and open. Those of other
// organizations count too.
func TestAddressesOfAClusterAreBounded(t *testing.T) {
	s := newServer(t)
	create := func(org string, n, addresses int) string {
		listen := make([]string, addresses)
		for i := range listen {
			listen[i] = fmt.Sprintf("127.0.%d.%d:80", n, i+1)
		}
		body, err := json.Marshal(map[string]any{"org_id": org, "name": fmt.Sprint("service ", n), "listen": listen})
		must(t, err)
		return string(body)
	}
	var orgs [2]string
	for i := range orgs {
		orgs[i] = s.ok("POST", "/api/v1/organizations", fmt.Sprintf(`{"slug":"org-%d","name":"Org %d"}`, i, i)).text(t, "id")
	}
	const services = directory.AddressesMax / directory.ListenPerServiceMax
	for n := range services - 1 {
		s.ok("POST", "/api/v1/services", create(orgs[n%2], n, directory.ListenPerServiceMax))
	}
	s.ok("POST", "/api/v1/services", create(orgs[0], services, directory.ListenPerServiceMax-1))
	s.problem(429, "resource_exhausted", "listen", "POST", "/api/v1/services", create(orgs[1], services+1, 2))
	last := s.ok("POST", "/api/v1/services", create(orgs[1], services+2, 1)).text(t, "id")
	s.problem(429, "resource_exhausted", "listen", "POST", "/api/v1/services", create(orgs[1], services+3, 1))
	s.ok("DELETE", "/api/v1/services/"+last, "")
	s.ok("POST", "/api/v1/services", create(orgs[0], services+4, 1))
}
