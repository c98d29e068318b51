// Package backup is the file that holds a whole instance at one index, so that
// fresh machines can go on where it stood.
//
// A file begins in clear with a line that names the format and a line of JSON that
// says what the file is (Header). The rest is an age file (age-encryption.org/v1)
// for the holder of the recovery key alone, and inside it are frames, each a
// length of four bytes and as many bytes:
//
//	manifest   JSON: the keyring and what each organization holds
//	state …    the stream of the state, cut anywhere
//	(empty)    the end of the state
//	proof      32 bytes without a length: HMAC-SHA-256 over everything above,
//	           the two lines in clear included
//
// age seals chunks of 64 KiB so that none can be changed, moved or left out, and
// marks the last. That alone would let anybody who knows the public half of the
// key make a file that opens; the proof shows that a node made it that was given
// the key's second secret, which a cluster keeps sealed in its state.
//
// The package must never know what the rows of a state mean.
package backup
