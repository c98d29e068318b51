/* SPDX-License-Identifier: Dual MIT/GPL */
#pragma once

static INLINE const struct rule *rule_of(const struct http *h)
{
	u32 at = h->path, accept, method = h->method & 7;
	struct row *row = bpf_map_lookup_elem(&rows, &at);

	if (!row || !row->accept)
		return 0;
	accept = row->accept;
	struct accept *a = bpf_map_lookup_elem(&accepts, &accept);
	return a ? &a->rules[method] : 0;
}

static INLINE u32 check_rights(const struct rule *r, const struct subject *s)
{
	u64 any = 0, one_of = 0, all_of = 0, missing = 0;

	for (int i = 0; i < 4; i++) {
		one_of |= r->any[i];
		all_of |= r->all[i];
		any |= r->any[i] & s->rights[i];
		missing |= r->all[i] & ~s->rights[i];
	}
	if (!one_of && !all_of)
		return ALLOWED;
	if (!s->numbering)
		return NEEDS_RIGHTS;
	/* The same bit is another right in another numbering. */
	if (s->numbering != r->numbering)
		return NO_LEASE;
	return (one_of && !any) || missing ? NEEDS_RIGHTS : ALLOWED;
}

static INLINE u32 check_token(struct conn *c, const struct rule *r)
{
	struct http *h = &c->http;
	struct token_key key = { h->h0, h->h1 };
	u64 now = bpf_ktime_get_boot_ns();
	struct subject_key id;
	u32 zero = 0, reason;

	if (!(h->flags & HAS_TOKEN) || !h->token_length)
		return NO_TOKEN;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);
	if (!control || now >= control->lease)
		return NO_LEASE;
	struct token *t = bpf_map_lookup_elem(&tokens, &key);
	if (!t || t->length != h->token_length)
		return UNKNOWN_TOKEN;
	id = t->subject;
	c->subject = id;
	if (t->revoked)
		return REVOKED;
	if (now >= t->expires)
		return EXPIRED;
	if (now < t->not_before)
		return NOT_YET_VALID;
	struct subject *s = bpf_map_lookup_elem(&subjects, &id);
	if (!s || s->disabled)
		return INACTIVE;
	if (!r->org || t->org != r->org || s->org != r->org)
		return OTHER_ORGANIZATION;
	if (r->mfa && !t->mfa)
		return NEEDS_MFA;
	reason = check_rights(r, s);
	BARRIER();
	if (reason == ALLOWED && (t->own != key.h0 || s->own.id[0] != id.id[0] || s->own.id[1] != id.id[1]))
		return NO_LEASE;
	return reason;
}

static INLINE struct slot *slot_of(const struct conn *c)
{
	u32 slot = c->place & ((1 << SLOT_BITS) - 1);

	return bpf_map_lookup_elem(&slots, &slot);
}

static INLINE u32 ask(struct conn *c)
{
	struct http *h = &c->http;
	const struct rule *r = rule_of(h);

	if (!r || r->action == DENY)
		return NO_ROUTE;
	if (h->flags & HAS_UPGRADE) /* the kernel gate cannot see the 101 */
		return NOT_IMPLEMENTED;
	if (h->method <= HEAD && !(r->flags & RULE_GET_BODY) && ((h->flags & HAS_CODING) || h->body))
		return NO_BODY_HERE;
	if (r->action == PUBLIC)
		return PUBLIC_ROUTE;
	return check_token(c, r);
}

/* A dry run is the service's of now, whichever program the request was read with. The
 * flag is in the first row, too, where no path has led yet; it counts if the rows
 * still are the program's after it was read. */
static INLINE int dry_run(const struct conn *c)
{
	struct slot *s = slot_of(c);
	u64 program = s ? READ_ONCE(s->program) : 0;
	u32 first = program & ((1 << ROW_BITS) - 1);
	struct row *row = bpf_map_lookup_elem(&rows, &first);
	u32 flags = row ? READ_ONCE(row->flags) : 0;

	BARRIER();
	if (!s || !program || !c->place || READ_ONCE(s->program) != program || READ_ONCE(s->place) != c->place)
		return 0;
	return flags & ROW_DRY_RUN;
}

/* A word is never written twice: one that is the same afterwards stood all the
 * while, place since the connection was enrolled and program since the request
 * began, and whatever was read in between was theirs. */
static INLINE u32 decide(struct conn *c)
{
	struct slot *s = slot_of(c);
	u32 reason = ask(c);

	BARRIER();
	if (!s || !c->place || !c->program || READ_ONCE(s->program) != c->program || READ_ONCE(s->place) != c->place)
		return NO_LEASE;
	return reason;
}
