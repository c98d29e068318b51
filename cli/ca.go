package cli

import (
	"encoding/json"
	"fmt"
)

// authorityState is what the cluster says of its CA.
type authorityState struct {
	AuthorityID string `json:"authority_id"`
	Expires     string
	Rotation    *struct {
		AuthorityID string `json:"authority_id"`
		Replaces    string
		Phase       string
		WaitsFor    string `json:"waits_for"`
	}
	Nodes     json.RawMessage
	TrustFile string `json:"trust_file"`
}

// showAuthority says in a sentence how far a rotation is, above what the nodes go by.
func showAuthority(p *printer, body []byte) error {
	var s authorityState
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	if err := p.line(s.sentence()); err != nil {
		return err
	}
	var nodes []json.RawMessage
	if err := json.Unmarshal(s.Nodes, &nodes); err != nil {
		return err
	}
	return p.items(nodes, "node_id reachable signs also_trusts shows api", true)
}

func (s authorityState) sentence() string {
	r := s.Rotation
	if r == nil || r.Phase == "done" {
		return fmt.Sprintf("The CA %s signs until %s.", s.AuthorityID, s.Expires)
	}
	said := fmt.Sprintf("The CA %s takes the place of %s: %s.", r.AuthorityID, r.Replaces, r.Phase)
	if r.WaitsFor != "" {
		said += fmt.Sprintf(" It waits: %s.", r.WaitsFor)
	}
	return said
}

// showTrustFile prints the file as it is.
func showTrustFile(p *printer, body []byte) error {
	var s authorityState
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	_, err := fmt.Fprint(p.w, s.TrustFile)
	return err
}
