//go:build ignore
/* SPDX-License-Identifier: Dual MIT/GPL
 * The kernel gate. enrol puts accepted connections of protected services into
 * sockets, where verdict reads every byte before the application can; the two
 * guards drop what goes around it. DESIGN.md has the invariants. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define INLINE __always_inline
#define STEP __noinline
#define BOUND(i) asm volatile("%0 &= 1023" : "+r"(i))
/* For what the daemon may be writing meanwhile: one load, and none moved over
 * another. */
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define BARRIER() asm volatile("" ::: "memory")
#define CHECK_ARGS \
	if (!h || !in) \
		return i; \
	if (n > CHUNK) \
		n = CHUNK;

static INLINE u32 path_next(u32 state, u32 byte);
static INLINE u64 secret_k0(void);
static INLINE u64 secret_k1(void);

#include "verdict.h"
#include "siphash.h"
#include "http.h"
#include "body.h"
#include "maps.h"
#include "decide.h"
#include "packet.h"
#include "scope.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Set before loading. */
const volatile u32 measure; /* fill the histogram */

enum {
	STEPS_MAX = 1 << 18, /* a full segment of one-byte chunks needs 64 K */
	PIPELINED_MAX = 32,  /* requests in one segment */
};

static INLINE u32 path_next(u32 state, u32 byte)
{
	struct row *r = bpf_map_lookup_elem(&rows, &state);

	return r ? r->next[byte & 255] : 0;
}

static INLINE u64 secret_k0(void)
{
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&controls, &zero);

	return c ? c->k0 : 0;
}

static INLINE u64 secret_k1(void)
{
	u32 zero = 0;
	struct control *c = bpf_map_lookup_elem(&controls, &zero);

	return c ? c->k1 : 0;
}

static INLINE void count(u32 which)
{
	u64 *n = bpf_map_lookup_elem(&counts, &which);

	if (n)
		(*n)++;
}

static INLINE void count_reason(const struct conn *c, u32 reason)
{
	u32 of_service = (c->place & ((1 << SLOT_BITS) - 1)) * REASONS_MAX + (reason & (REASONS_MAX - 1));
	u64 *n = bpf_map_lookup_elem(&reasons, &reason);

	if (n)
		(*n)++;
	n = bpf_map_lookup_elem(&verdicts, &of_service);
	if (n)
		(*n)++;
}

/* Counts for the route that has decided; its rows stand if the request's program
 * still is the service's. */
static INLINE void count_route(const struct conn *c, u32 reason)
{
	struct slot *s = slot_of(c);
	u32 at = c->http.path, which;
	struct row *row = bpf_map_lookup_elem(&rows, &at);

	if (!s || !row || READ_ONCE(s->program) != c->program)
		return;
	which = row->hits[c->http.method & 7];
	if (!which)
		return;
	struct hit *hit = bpf_map_lookup_elem(&hits, &which);
	if (!hit)
		return;
	if (reason == ALLOWED || reason == PUBLIC_ROUTE)
		hit->let_through++;
	else
		hit->refused++;
}

/* ---- verdict ---- */

struct reading {
	struct conn *c;
	struct __sk_buff *skb;
	u32 at;    /* offset of the loaded chunk in the segment */
	u32 i, n;  /* position in the chunk and its size */
	u32 total; /* bytes of the segment */
	u32 reason, requests;
};

/* Takes the service's program at the start of a request, so that a policy swap
 * reaches the next request of every open connection. */
static INLINE void begin_request(struct conn *c)
{
	struct slot *s = slot_of(c);
	u64 program = s ? READ_ONCE(s->program) : 0;

	c->began = c->touched;
	c->program = program;
	c->http.start = program & ((1 << ROW_BITS) - 1);
	c->http.path = c->http.start;
}

static INLINE int load(struct reading *r)
{
	u32 n;

	r->at += r->n;
	r->i = r->n = 0;
	if (r->at >= r->total)
		return 1;
	n = r->total - r->at;
	if (n > CHUNK)
		n = CHUNK;
	asm volatile("" : "+r"(n)); /* keeps clang from dropping the check below */
	if (n == 0 || n > CHUNK)
		return 1;
	if (bpf_skb_load_bytes(r->skb, r->at, r->c->chunk.b, n)) {
		count(N_LOAD_FAILED);
		r->reason = INTERNAL;
		return 1;
	}
	r->n = n;
	return 0;
}

static INLINE void report(struct conn *c, u32 reason, u32 dry)
{
	struct refusal *f = bpf_ringbuf_reserve(&refusals, sizeof(*f), 0);

	if (!f)
		return; /* a sample, never a promise */
	__builtin_memset(f, 0, sizeof(*f));
	f->time = bpf_ktime_get_boot_ns();
	f->program = c->program;
	f->slot = c->place & ((1 << SLOT_BITS) - 1);
	f->row = c->http.path;
	f->subject = c->subject;
	f->reason = reason;
	f->method = c->http.method;
	f->read = c->http.step == STEP_HEADER;
	f->dry_run = dry;
	bpf_ringbuf_submit(f, 0);
}

/* Notes whose request goes through. Two users may share a bit: then losing
 * access ends the connection of both, and never of neither. */
static INLINE void carry(struct conn *c)
{
	u32 bit = c->subject.id[1] >> 56; /* the last byte of an id is random */

	c->carried[(bit >> 6) & 3] |= 1ULL << (bit & 63);
}

/* In a dry run a refusal is counted and told. Nobody's connection is ended later for
 * losing access, so nobody is noted. */
static INLINE int header_block(struct reading *r)
{
	struct conn *c = r->c;
	u32 reason, dry = dry_run(c);

	if (++r->requests > PIPELINED_MAX) {
		r->reason = TOO_MANY;
		return 1;
	}
	reason = decide(c);
	count_route(c, reason);
	if (reason != ALLOWED && reason != PUBLIC_ROUTE) {
		if (!dry) {
			r->reason = reason;
			return 1;
		}
		report(c, reason, 1);
	}
	if (reason == ALLOWED && !dry)
		carry(c);
	count_reason(c, reason);
	count(N_REQUESTS);
	c->requests++;
	if (dry) {
		c->subject.id[0] = c->subject.id[1] = 0;
		if (c->http.flags & HAS_UPGRADE) {
			c->mode = UNREAD;
			return 1;
		}
	}
	http_begin_body(&c->http);
	return 0;
}

static long read_step(u32 turn, struct reading *r)
{
	struct conn *c = r->c;
	struct http *h = &c->http;
	u32 i = r->i, from, n;

	if (h->state == IN_BODY || h->state == IN_CHUNK) {
		from = r->at + i;
		n = http_skip(h, r->total - from);
		r->at = from + n;
		r->i = r->n = 0;
		return r->at >= r->total;
	}
	if (i >= r->n) {
		if (load(r))
			return 1;
		i = 0;
	}
	if (h->state == AT_METHOD && h->count == 0)
		begin_request(c);
	from = i;
	i = http_step(h, &c->chunk, from, r->n);
	r->i = i;
	if (h->state < IN_BODY) {
		h->header_bytes += i - from;
		if (h->header_bytes > HEADER_MAX) {
			r->reason = TOO_LARGE;
			return 1;
		}
	}
	if (h->step == STEP_MORE)
		return 0;
	if (h->step == STEP_HEADER)
		return header_block(r);
	r->reason = h->error ? h->error : MALFORMED;
	return 1;
}

/* Returns a reason to refuse the whole segment, or ALLOWED. */
static INLINE u32 read_segment(struct __sk_buff *skb, struct conn *c)
{
	struct reading r = { .c = c, .skb = skb, .total = skb->len, .reason = ALLOWED };
	long turns = bpf_loop(STEPS_MAX, read_step, &r, 0);

	if (r.reason == ALLOWED && turns >= STEPS_MAX)
		return TOO_MANY;
	return r.reason;
}

/* Turns the segment into the answer and sends it out of its own socket. */
static INLINE int answer(struct __sk_buff *skb, u64 cookie, u32 reason, u32 head)
{
	u32 which = reason * 2 + head, n;
	struct response *a = bpf_map_lookup_elem(&responses, &which);

	if (!a)
		return SK_DROP;
	n = a->length;
	if (n == 0 || n > RESPONSE_MAX)
		return SK_DROP;
	if (bpf_skb_change_tail(skb, n, 0)) {
		count(N_ANSWER_FAILED);
		return SK_DROP;
	}
	asm volatile("" : "+r"(n));
	if (n == 0 || n > RESPONSE_MAX)
		return SK_DROP;
	if (bpf_skb_store_bytes(skb, 0, a->bytes, n, 0)) {
		count(N_ANSWER_FAILED);
		return SK_DROP;
	}
	count(N_ANSWERED);
	return bpf_sk_redirect_hash(skb, &sockets, &cookie, 0);
}

/* Poison first: what follows on the connection is dropped whatever happens to
 * the answer. */
static INLINE int refuse(struct __sk_buff *skb, u64 cookie, struct conn *c, u32 reason)
{
	c->mode = POISONED;
	count_reason(c, reason);
	report(c, reason, 0);
	return answer(skb, cookie, reason, c->http.state != DEAD && c->http.method == HEAD);
}

/* Lets through what cannot be read, and the rest of the connection with it: where the
 * next request begins, nobody can tell. */
static INLINE int leave_unread(struct conn *c, u32 reason)
{
	c->mode = UNREAD;
	c->requests++; /* guard_out lets the answer out */
	count_reason(c, reason);
	report(c, reason, 1);
	return SK_PASS;
}

static INLINE void add(u32 bucket, u64 n)
{
	u64 *sum = bpf_map_lookup_elem(&histogram, &bucket);

	if (sum)
		*sum += n;
}

/* The place of the highest bit. */
static INLINE u32 octave_of(u32 n)
{
	u32 at = 0;

	if (n >> 16) { n >>= 16; at = 16; }
	if (n >> 8) { n >>= 8; at += 8; }
	if (n >> 4) { n >>= 4; at += 4; }
	if (n >> 2) { n >>= 2; at += 2; }
	return at + (n >> 1);
}

/* Octaves of so many equal parts. Below the first whole octave a bucket is one
 * nanosecond. */
static INLINE void record(u64 began)
{
	u64 took = bpf_ktime_get_ns() - began;
	u32 n = took >> 32 ? ~0U : (u32)took, octave, bucket;

	if (n < HISTOGRAM_PARTS) {
		bucket = n;
	} else {
		octave = octave_of(n);
		bucket = (octave - 4) * HISTOGRAM_PARTS + ((n >> (octave - 5)) & (HISTOGRAM_PARTS - 1));
	}
	if (bucket >= HISTOGRAM_MAX)
		bucket = HISTOGRAM_MAX - 1;
	add(bucket, 1);
	add(HISTOGRAM_SUM, took);
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	u64 began = measure ? bpf_ktime_get_ns() : 0;
	u64 cookie = bpf_get_socket_cookie(skb);
	struct conn *c = bpf_map_lookup_elem(&conns, &cookie);
	u32 reason;
	int result = SK_PASS;

	count(N_SEGMENTS);
	if (!c) {
		count(N_UNKNOWN_DROPPED);
		return SK_DROP;
	}
	if (c->mode == UNREAD && dry_run(c)) {
		c->touched = bpf_ktime_get_boot_ns();
		return SK_PASS;
	}
	if (c->mode != ACTIVE) {
		count(N_POISON_DROPPED);
		return SK_DROP;
	}
	c->touched = bpf_ktime_get_boot_ns();
	reason = read_segment(skb, c);
	if (reason != ALLOWED)
		result = dry_run(c) ? leave_unread(c, reason) : refuse(skb, cookie, c, reason);
	if (measure)
		record(began);
	return result;
}

/* ---- scope ---- */

SEC("sockops")
int enrol(struct bpf_sock_ops *ops)
{
	struct service_key key = {};
	u64 cookie, *found, place;
	u32 zero = 0, part;

	if (ops->op == BPF_SOCK_OPS_STATE_CB) {
		if (ops->args[1] == BPF_TCP_CLOSE) {
			cookie = bpf_get_socket_cookie(ops);
			if (!bpf_map_delete_elem(&conns, &cookie))
				count(N_CLOSED);
		}
		return 1;
	}
	if (ops->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		return 1;
	key.netns = bpf_get_netns_cookie(ops);
	key.port = ops->local_port;
	if (ops->family == AF_INET_) {
		put_v4(&key, ops->local_ip4);
	} else {
		part = ops->local_ip6[0];
		__builtin_memcpy(key.address, &part, 4);
		part = ops->local_ip6[1];
		__builtin_memcpy(key.address + 4, &part, 4);
		part = ops->local_ip6[2];
		__builtin_memcpy(key.address + 8, &part, 4);
		part = ops->local_ip6[3];
		__builtin_memcpy(key.address + 12, &part, 4);
	}
	found = find(&key);
	if (!found)
		return 1;
	place = READ_ONCE(*found);
	if (!place)
		return 1; /* shut: guard_in drops whatever comes */
	cookie = bpf_get_socket_cookie(ops);
	struct conn *template = bpf_map_lookup_elem(&blank, &zero);
	if (!template || bpf_map_update_elem(&conns, &cookie, template, BPF_ANY)) {
		count(N_ENROL_FAILED); /* guard_in drops its payload */
		return 1;
	}
	struct conn *c = bpf_map_lookup_elem(&conns, &cookie);
	if (!c) {
		count(N_ENROL_FAILED);
		return 1;
	}
	c->since = c->touched = bpf_ktime_get_boot_ns();
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (bpf_sock_hash_update(ops, &sockets, &cookie, BPF_ANY)) {
		bpf_map_delete_elem(&conns, &cookie);
		count(N_ENROL_FAILED);
		return 1;
	}
	/* Last: guard_in lets nothing in until the verdict is in its way. */
	BARRIER();
	c->place = place;
	count(N_ENROLLED);
	return 1;
}

/* A probe of the self-test that comes with the last segment of its handshake, which the
 * listener has. A socket's mark does not travel: only who may administer this machine's
 * network can set it, and must know it. */
static INLINE int probe_at_listener(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	u32 zero = 0, *mark = bpf_map_lookup_elem(&probing, &zero);

	if (!sk || !mark || !*mark || skb->mark != *mark)
		return 0;
	sk = bpf_sk_fullsock(sk);
	return sk && sk->state == LISTENING;
}

/* Payload reaches a protected address only on a connection that was enrolled
 * under the place that the address has now. One from before, or from when a
 * wider address stood for this one, is as one that was never enrolled. An address
 * without a place is shut: nobody is enrolled, and nothing comes in. */
SEC("cgroup_skb/ingress")
int guard_in(struct __sk_buff *skb)
{
	u64 *place = place_of(skb), cookie;

	if (!place)
		return 1;
	if (payload(skb) == 0) {
		if (!multipath(skb))
			return 1;
		count(N_MULTIPATH);
		return 0;
	}
	cookie = bpf_get_socket_cookie(skb);
	struct conn *c = bpf_map_lookup_elem(&conns, &cookie);
	if (c && c->place && c->place == READ_ONCE(*place))
		return 1;
	if (!c && READ_ONCE(*place) && probe_at_listener(skb))
		return 1;
	count(N_GUARD_DROPPED);
	return 0;
}

/* Nothing but an error leaves a connection on which nothing was let through:
 * an application that reads around the verdict gets no answer out. */
SEC("cgroup_skb/egress")
int guard_out(struct __sk_buff *skb)
{
	u64 *place = place_of(skb), cookie;
	struct conn *c;
	int at;
	u8 status;

	if (!place)
		return 1;
	if (!READ_ONCE(*place))
		return payload(skb) == 0;
	cookie = bpf_get_socket_cookie(skb);
	c = bpf_map_lookup_elem(&conns, &cookie);
	if (!c || c->requests || c->mode == POISONED || dry_run(c))
		return 1;
	at = payload(skb);
	if (at == 0)
		return 1;
	if (c->mode == LEAKED)
		return 0;
	if (at > 0 && !bpf_skb_load_bytes(skb, at + 9, &status, 1) && (status == '4' || status == '5'))
		return 1; /* the server's own 408 */
	c->mode = LEAKED;
	count(N_LEAKED);
	return 0;
}

/* ---- for tests: the same reading over packets of BPF_PROG_TEST_RUN, each of
 * which is the next segment of the connection that probe_conn holds ---- */

struct probe {
	u64 h0, h1;
	u32 reason, requests, state, path, token_length, pad;
};
TABLE(probe_conn, ARRAY, 1, u32, struct conn);
TABLE(probe_result, ARRAY, 1, u32, struct probe);

enum { ETHERNET = 14 };

SEC("tc")
int probe(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct conn *c = bpf_map_lookup_elem(&probe_conn, &zero);
	struct probe *p = bpf_map_lookup_elem(&probe_result, &zero);

	if (!c || !p)
		return 0;
	struct reading r = { .c = c, .skb = skb, .at = ETHERNET, .total = skb->len, .reason = ALLOWED };
	long turns = bpf_loop(STEPS_MAX, read_step, &r, 0);
	p->reason = r.reason == ALLOWED && turns >= STEPS_MAX ? TOO_MANY : r.reason;
	p->requests = c->requests;
	p->state = c->http.state;
	p->path = c->http.path;
	p->token_length = c->http.token_length;
	p->h0 = c->http.h0;
	p->h1 = c->http.h1;
	return 0;
}
