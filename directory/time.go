package directory

import "time"

// Index is a position in the log. The applied index is the consistency token
// of every read and write.
type Index uint64

// Time is milliseconds since the Unix epoch, UTC. It is stamped by the node
// that proposes; the machine only compares and stores it.
type Time int64

// TimeOf truncates t to milliseconds.
func TimeOf(t time.Time) Time { return Time(t.UnixMilli()) }

// Std is t as the standard library's time in UTC.
func (t Time) Std() time.Time { return time.UnixMilli(int64(t)).UTC() }

// Add is t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }
