package directory

// Level is the feature level of a cluster: what its log and its state may hold. It
// only rises, and only by an operator's word, so that until then any node may go back
// to a build that knows no more.
type Level uint16

// Levels that this build understands. A higher one comes with what a build before
// could not read; LevelMin rises when the reading of a level is dropped.
//
//   - 1: what the first builds write. They know no levels, so it has no row.
//   - 2: commands that are not of level 1, and the row of the level itself.
const (
	LevelMin Level = 1
	LevelMax Level = 2
)

// FeatureLevel is the level as the instance keeps it, once it is above the first.
type FeatureLevel struct {
	Level  Level `cbor:"1,keyasint"`
	Raised Time  `cbor:"2,keyasint"`
}

// Understood is false of a level that this build does not read or no longer.
func (l Level) Understood() bool { return l >= LevelMin && l <= LevelMax }
