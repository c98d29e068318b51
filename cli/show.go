package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func showToken(p *printer, body []byte) error {
	var made struct{ Token string }
	if err := json.Unmarshal(body, &made); err != nil {
		return err
	}
	return p.line(made.Token)
}

// showRest says what is left of the cluster without a node.
func showRest(p *printer, body []byte) error {
	var rest struct {
		NodeID         string `json:"node_id"`
		Members, Spare int
		Removed        *bool
	}
	if err := json.Unmarshal(body, &rest); err != nil {
		return err
	}
	if rest.Removed != nil && !*rest.Removed {
		return p.line(rest.NodeID + " has left by force. The others could not be told and still count it: remove it there once they have a quorum.")
	}
	return p.line(fmt.Sprintf("%d members are left; %d of them may fail before writes stop", rest.Members, rest.Spare))
}

type clusterStatus struct {
	NodeID       string          `json:"node_id"`
	Leader       string          `json:"leader"`
	AppliedIndex uint64          `json:"applied_index"`
	Digest       string          `json:"digest"`
	Members      json.RawMessage `json:"members"`
	Warnings     []string        `json:"warnings"`
}

var errNoLeader = errors.New("the cluster has no leader")

func showStatus(p *printer, body []byte) error {
	var s clusterStatus
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	g := &grid{printer: p}
	g.add("node", s.NodeID)
	g.add("leader", s.Leader)
	g.add("applied index", fmt.Sprint(s.AppliedIndex))
	g.add("digest", s.Digest)
	for _, warning := range s.Warnings {
		g.add("warning", warning)
	}
	return g.flush()
}

// checkStatus fails when the cluster cannot take a write.
func checkStatus(body []byte) error {
	var s clusterStatus
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	if s.Leader == "" {
		return errNoLeader
	}
	return nil
}

func (o *options) membersCommand() *cobra.Command {
	return &cobra.Command{
		Short: "List the nodes", Example: "  authfi members", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			route, _ := routeOf(methodOf("ClusterService.GetStatus"))
			body, err := o.do(cmd.Context(), request{method: route.verb, path: route.path})
			if err != nil {
				return err
			}
			var s clusterStatus
			if err := json.Unmarshal(body, &s); err != nil {
				return err
			}
			if !p.streams() {
				return p.object(s.Members)
			}
			var members []json.RawMessage
			if err := json.Unmarshal(s.Members, &members); err != nil {
				return err
			}
			return p.items(members, "id address voter leader", true)
		},
	}
}

func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments", cmd.CommandPath())
	}
	return nil
}
