/* SPDX-License-Identifier: Dual MIT/GPL
 * The tables that the daemon fills and the programs read. Layouts of rule,
 * accept and row are those of package policy. */
#pragma once

enum {
	SERVICES_MAX = 256,
	ADDRESSES_MAX = 8192, /* those beyond SERVICES_MAX have no place, and are shut; twice what may be written */
	ROWS_MAX = 16384,
	ACCEPTS_MAX = 4096,
	HITS_MAX = 16384, /* routes that are counted, 0 is none of them */
	TOKENS_MAX = 262144, /* a hash, never LRU: eviction would refuse the living */
	SUBJECTS_MAX = 262144,
	CONNS_MAX = 65536,
	RESPONSE_MAX = 508,
	REASONS_MAX = 32,
	HISTOGRAM_PARTS = 32, /* of an octave: a bucket is 3 % of its time wide */
	HISTOGRAM_MAX = 28 * HISTOGRAM_PARTS, /* 32 ns to 4 s; the last takes all above */
	HISTOGRAM_SUM = HISTOGRAM_MAX,        /* the row after them: nanoseconds in all */
};

/* The low bits of a place are its slot, those of a program its first row. */
enum {
	SLOT_BITS = 8,
	ROW_BITS = 16,
};
_Static_assert(SERVICES_MAX <= 1 << SLOT_BITS, "a slot has too few bits");
_Static_assert(ROWS_MAX <= 1 << ROW_BITS, "a row has too few bits");

struct rule {
	u8 action, mfa;
	u16 flags;
	u32 org;
	u64 any[4], all[4];
	u64 numbering; /* in which the bits have their meaning */
};

struct accept {
	struct rule rules[8]; /* by method */
};

struct row {
	u16 accept; /* 0: none */
	u16 flags;
	u16 pad[2];
	u16 next[256];
	u16 hits[8]; /* of the route that decides, by method; 0: none, or not counted */
};

/* What one route has decided. */
struct hit {
	u64 let_through, refused;
};

enum { ROW_DRY_RUN = 1 }; /* in every row of a service that refuses nothing */

struct service_key {
	u64 netns;
	u8 address[16]; /* IPv4 as ::ffff:a.b.c.d; zero: any */
	u16 port;       /* host order */
	u16 pad[3];
};

/* Two words that are never written twice, by whichever process: each has a
 * serial in its high bits. One write of the second swaps the whole policy. */
struct slot {
	u64 place;   /* the time for which an address has this slot, 0: free */
	u64 program; /* the rows that decide now, 0: none, refuse everything */
};

struct token_key {
	u64 h0, h1;
};

struct subject_key {
	u64 id[2]; /* of the user */
};

/* An element of a hash may be filled with another row the moment it leaves its
 * table, even while it is being read. So a row begins with its own key, and what
 * was read of it counts if the key is still there afterwards. */
struct token {
	u64 own;                 /* h0 */
	u64 expires, not_before; /* CLOCK_BOOTTIME, ns */
	struct subject_key subject;
	u32 org, length;
	u8 mfa, revoked;
	u8 pad[6];
};

struct subject {
	struct subject_key own;
	u32 disabled, org;
	u64 rights[4];
	u64 numbering; /* of rights, 0: the user has none */
};

struct response {
	u32 length;
	u8 bytes[RESPONSE_MAX];
};

/* What the daemon tells all programs. Zero lease: expired. */
struct control {
	u64 k0, k1;
	u64 lease; /* CLOCK_BOOTTIME, ns */
};

enum mode { ACTIVE, POISONED, LEAKED, UNREAD }; /* UNREAD: in a dry run, what comes can no longer be read */

struct conn {
	struct http http;
	struct chunk chunk; /* per connection: a verdict may be preempted by another on its CPU */
	u64 since;          /* of the enrolment, CLOCK_BOOTTIME ns */
	u64 touched;        /* of the last byte */
	u64 began;          /* of the first byte of the request under way */
	u64 place;          /* under which it was enrolled, 0: not yet */
	u64 program;        /* with which the request under way is read */
	u32 mode, requests; /* requests that were let through */
	struct subject_key subject; /* of the last request with a token */
	u64 carried[4];     /* whose requests were let through, a bit each of 256 */
};

/* Of the token there is nothing in it, not even its key. */
struct refusal {
	u64 time, program;
	struct subject_key subject;
	u16 slot, row; /* row: where the path led */
	u8 reason, method;
	u8 read;    /* the header block was whole */
	u8 dry_run; /* it was let through */
};

enum count {
	N_ENROLLED, N_ENROL_FAILED, N_CLOSED, N_SEGMENTS, N_REQUESTS, N_ANSWERED, N_ANSWER_FAILED,
	N_POISON_DROPPED, N_UNKNOWN_DROPPED, N_GUARD_DROPPED, N_LEAKED, N_LOAD_FAILED,
	N_MULTIPATH, N_COUNTS,
};

#define TABLE(name, kind, max, k, v) \
	struct { \
		__uint(type, BPF_MAP_TYPE_##kind); \
		__uint(max_entries, max); \
		__type(key, k); \
		__type(value, v); \
	} name SEC(".maps")

#define HASH(name, max, k, v) \
	struct { \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(max_entries, max); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, k); \
		__type(value, v); \
	} name SEC(".maps")

TABLE(controls, ARRAY, 1, u32, struct control);
TABLE(probing, ARRAY, 1, u32, u32);                    /* the mark of the self-test's packets, 0: none */
TABLE(serials, ARRAY, 1, u32, u64);                    /* the last one given out; the daemon's */
HASH(services, ADDRESSES_MAX, struct service_key, u64); /* → place */
TABLE(slots, ARRAY, SERVICES_MAX, u32, struct slot);
TABLE(rows, ARRAY, ROWS_MAX, u32, struct row);
TABLE(accepts, ARRAY, ACCEPTS_MAX, u32, struct accept);
HASH(tokens, TOKENS_MAX, struct token_key, struct token);
HASH(subjects, SUBJECTS_MAX, struct subject_key, struct subject);
HASH(conns, CONNS_MAX, u64, struct conn);       /* by socket cookie */
TABLE(blank, ARRAY, 1, u32, struct conn);       /* template of a new connection */
TABLE(sockets, SOCKHASH, CONNS_MAX, u64, u64);  /* by socket cookie; the verdict is attached here */
TABLE(responses, ARRAY, 64, u32, struct response); /* reason * 2 + (1 for HEAD) */
TABLE(reasons, PERCPU_ARRAY, REASONS_MAX, u32, u64);
TABLE(verdicts, PERCPU_ARRAY, SERVICES_MAX * REASONS_MAX, u32, u64); /* by slot, of each by reason */
TABLE(hits, PERCPU_ARRAY, HITS_MAX, u32, struct hit);
TABLE(counts, PERCPU_ARRAY, N_COUNTS, u32, u64);
TABLE(histogram, PERCPU_ARRAY, HISTOGRAM_MAX + 1, u32, u64);
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
	__type(value, struct refusal);
} refusals SEC(".maps");
