// Package eventstream delivers what happens to the users and groups of an
// organization as security event tokens (RFC 8417) of the SCIM profile (RFC 9967):
// receivers ask for them (RFC 8936), or the leader calls receivers (RFC 8935).
//
// Nothing is stored for it but how far each receiver has come. The tokens are made of
// the organization's log whenever they are delivered, on whatever node is asked.
//
// What it promises:
//
//   - Every event that a stream wants is delivered at least once, in the order of the
//     log, until its receiver acknowledges it, for as long as the log keeps it. Once an
//     acknowledgement is answered it has been committed.
//   - What the log has forgotten before it was acknowledged is said in the stream's
//     state; nothing is passed over in silence.
//   - A token's id names stream and place, so that a repeat is recognised by whoever
//     makes it and whoever gets it.
//   - A receiver costs the machine little: acknowledgements of one stream travel
//     together, and a stream whose receiver is slow waits for nobody but itself.
//
// It must never know what an entry of the log is made from, nor decide who may make a
// stream.
package eventstream
