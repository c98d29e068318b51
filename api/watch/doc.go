// Package watch streams what happens in one organization: every event of its log
// in order, each once, resumable by its place. One engine reads the state at each
// follower's own pace; two dialects carry its messages, server-sent events and
// the Connect procedure.
//
// What it promises:
//
//   - A stream holds what came before it. It goes on behind the place that the
//     follower names; when events behind it are no longer kept, or the cluster has
//     never been there, it says so and sends the rows of one root instead. A
//     heartbeat names an index up to which everything has been sent.
//   - A stream ends with the right to it. The credential is looked at again before
//     every batch, and twice a second when there is none.
//   - A follower costs the machine nothing. There is no queue between the two: who
//     is slow reads a later root, and who does not take a batch in time is cut off.
//
// It must never know how entries come into the log.
package watch
