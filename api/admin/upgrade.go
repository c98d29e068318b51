package admin

import (
	"context"
	"fmt"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Build is what one node runs. LevelMax is zero when the node did not say: it is
// silent, or of a build from before there were levels.
type Build struct {
	NodeID             string
	Version            string
	LevelMin, LevelMax directory.Level
}

// common is the highest level that all nodes understand, or why it is not known.
// Nothing is guessed: a node that is off now may come back with the build that it had.
func common(builds []Build) (level directory.Level, hindrance string) {
	var silent []string
	for _, b := range builds {
		if b.LevelMax == 0 {
			silent = append(silent, b.NodeID)
		} else if level == 0 || b.LevelMax < level {
			level = b.LevelMax
		}
	}
	switch {
	case len(silent) > 0:
		return 0, fmt.Sprintf("%s does not say what it understands: it is off, or its build is from before feature levels; start it with the new build, or take it out with authfi members remove",
			strings.Join(silent, ", "))
	case len(builds) == 0:
		return 0, "this node knows no members"
	}
	return level, ""
}

// upgrade is what finalizing would do at a level.
func upgrade(now directory.Level, builds []Build) (to directory.Level, hindrance string) {
	to, hindrance = common(builds)
	if hindrance == "" && to <= now {
		hindrance = fmt.Sprintf("there is nothing to finalize: the cluster is at feature level %d, and some node understands no higher one", now)
	}
	if hindrance != "" {
		return now, hindrance
	}
	return to, ""
}

func showBuild(b Build) *authfiv1.Build {
	return &authfiv1.Build{
		NodeId: b.NodeID, Reachable: b.LevelMax != 0, Version: b.Version,
		LevelMin: uint32(b.LevelMin), LevelMax: uint32(b.LevelMax),
	}
}

// GetUpgrade implements UpgradeService.
func (a *api) GetUpgrade(ctx context.Context, _ *authfiv1.GetUpgradeRequest) (*authfiv1.GetUpgradeResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	builds, level := a.Builds(ctx), pass.Level()
	to, hindrance := upgrade(level, builds)
	return &authfiv1.GetUpgradeResponse{
		Level: uint32(level), ReachableLevel: uint32(to), Hindrance: hindrance, Nodes: convert(builds, showBuild),
	}, nil
}

// FinalizeUpgrade implements UpgradeService.
func (a *api) FinalizeUpgrade(ctx context.Context, r *authfiv1.FinalizeUpgradeRequest) (*authfiv1.FinalizeUpgradeResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	builds := a.Builds(ctx)
	to, hindrance := upgrade(pass.Level(), builds)
	if hindrance != "" {
		return nil, directory.Precondition("", "%s", hindrance)
	}
	if _, err := c.proposeSystem(pass, &fsm.RaiseLevel{Level: to}, r); err != nil {
		return nil, err
	}
	return &authfiv1.FinalizeUpgradeResponse{Level: uint32(pass.Level()), Nodes: convert(builds, showBuild)}, nil
}
