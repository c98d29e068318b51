package fsm

import (
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Kind of the feature level.
const KindRaiseLevel Kind = 75

// firstKinds are the kinds of level 1, from one to another. The list is closed: a kind
// that is not in it needs the newest level, so that nobody has to think of it who adds
// one. When a level is finished, its kinds get a list of their own.
var firstKinds = [][2]Kind{
	{KindCreateOrganization, KindSetConnectionMappings},
	{KindPutEventStream, KindAcknowledgeEvents},
	{KindCreateClient, KindRedeemCode},
	{KindSetRecoveryKey, KindSetRecoveryKey},
	{KindAnnounceKey, KindSetKeyPolicy},
	{KindEndOrganizationSessions, KindToldLogout},
	{KindWritePolicies, KindSetDryRun},
}

// RaiseLevel lets the log and the state hold what a higher feature level has. Whoever
// proposes it has heard from every node that it understands that level.
type RaiseLevel struct {
	Level directory.Level `cbor:"1,keyasint"`
}

func (*RaiseLevel) Kind() Kind { return KindRaiseLevel }

func (c *RaiseLevel) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	if now := tx.Level(); c.Level <= now {
		return Outcome{}, directory.Precondition("level", "the cluster is at feature level %d already", now)
	}
	if !c.Level.Understood() {
		// What comes after this entry would not be understood either.
		panic(fmt.Sprintf("fsm: feature level %d is not understood by this build, which knows %d to %d", c.Level, directory.LevelMin, directory.LevelMax))
	}
	tx.PutLevel(&directory.FeatureLevel{Level: c.Level, Raised: env.Now})
	e.event(directory.LevelRaised, instance, "%d", c.Level)
	return Outcome{Changed: true}, nil
}

// LevelOf is the feature level at which an envelope may be proposed: that of its kind,
// or of the newest field that it sets. A field says which level it came with by a tag,
// `level:"2"`, and is left out of the entry while it is zero.
func LevelOf(env *Envelope) directory.Level {
	level := max(levelOfKind(env.Command.Kind()), fieldLevel(reflect.ValueOf(*env)))
	return max(level, fieldLevel(reflect.ValueOf(env.Command).Elem()))
}

// levelOfKind: to raise the level is of level 1, for there it begins.
func levelOfKind(kind Kind) directory.Level {
	if kind == KindRaiseLevel {
		return 1
	}
	for _, one := range firstKinds {
		if kind >= one[0] && kind <= one[1] {
			return 1
		}
	}
	return directory.LevelMax
}

// fieldLevel is the highest level of the fields in a value that are not zero. Most
// types have no tagged field at all, which is asked of each type once.
func fieldLevel(v reflect.Value) directory.Level {
	level := directory.Level(1)
	if !taggedType(v.Type()) {
		return level
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			level = fieldLevel(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			level = max(level, fieldLevel(v.Index(i)))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Field(i); !field.IsZero() {
				level = max(level, tagOf(v.Type().Field(i)), fieldLevel(field))
			}
		}
	}
	return level
}

// tagOf is the level of a field, 1 where nothing is said.
func tagOf(f reflect.StructField) directory.Level {
	text, ok := f.Tag.Lookup("level")
	if !ok {
		return 1
	}
	level, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		panic(fmt.Sprintf("fsm: level %q of field %s is no number", text, f.Name))
	}
	return directory.Level(level)
}

// tagged remembers of each type whether a field in it, at any depth, has a level.
var tagged sync.Map

func taggedType(t reflect.Type) (found bool) {
	if known, ok := tagged.Load(t); ok {
		return known.(bool)
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		found = taggedType(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			found = found || tagOf(t.Field(i)) > 1 || taggedType(t.Field(i).Type)
		}
	}
	tagged.Store(t, found)
	return found
}
