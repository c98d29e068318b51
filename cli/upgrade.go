package cli

import (
	"encoding/json"
	"fmt"
)

// upgradeState is what the cluster says of an upgrade, before and after its end.
type upgradeState struct {
	Level     int
	Reachable int `json:"reachable_level"`
	Hindrance *string
	Nodes     json.RawMessage
}

// showUpgrade says in a sentence what may be done next, above what the nodes run.
func showUpgrade(p *printer, body []byte) error {
	var s upgradeState
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
	return p.items(nodes, "node_id reachable version level_min level_max", true)
}

func (s upgradeState) sentence() string {
	switch {
	case s.Hindrance == nil:
		return fmt.Sprintf("The cluster is at feature level %d now. A build that does not understand it does not start here any more.", s.Level)
	case *s.Hindrance == "":
		return fmt.Sprintf("The cluster is at feature level %d, and every node understands %d. Until authfi upgrade finalize any node may go back to its old build.", s.Level, s.Reachable)
	}
	return fmt.Sprintf("The cluster is at feature level %d. It cannot be raised now: %s.", s.Level, *s.Hindrance)
}
