package state

import (
	"errors"
	"fmt"

	"github.com/authfi/authfi/directory"
)

// ErrLevel means that a state is of a feature level that this build does not read.
// It is sound, and another build reads it: it must be neither used nor wiped.
var ErrLevel = errors.New("the state is of another feature level")

func notUnderstood(l directory.Level) error {
	return fmt.Errorf("%w: %d, and this build understands %d to %d; install one that does", ErrLevel, l, directory.LevelMin, directory.LevelMax)
}

// errFound ends a walk that has seen what it looked for.
var errFound = errors.New("found")

// CheckLevel looks in stored rows for the level alone. A state that does not load may
// be one with rows that a newer build has made, and then it is not damaged. The
// instance's rows come first, so that this reads no more than those.
func CheckLevel(load func(row func(key, value []byte) error) (Meta, error)) error {
	level := directory.Level(1)
	_, err := load(func(name, value []byte) error {
		id, key, err := splitKey(name)
		switch {
		case err != nil:
			return err
		case !id.IsZero():
			return errFound // there is no row of it
		case key[0] != tableLevel:
			return nil
		}
		record, err := decodeRow(string(key), value)
		if err != nil {
			return err
		}
		level = record.(*directory.FeatureLevel).Level
		return errFound
	})
	if (err == nil || errors.Is(err, errFound)) && !level.Understood() {
		return notUnderstood(level)
	}
	return nil
}
