/* SPDX-License-Identifier: Dual MIT/GPL
 * The body of a request that was let through: it is passed over and not read,
 * but for the framing of its chunks, which are steps of http.h. */
#pragma once

#include "http.h"

/* After an allowed header block. */
static INLINE void http_begin_body(struct http *h)
{
	h->step = STEP_MORE;
	if (h->flags & HAS_CODING) {
		h->state = IN_CHUNK_SIZE;
		h->count = 0;
		h->body = 0;
	} else if ((h->flags & HAS_LENGTH) && h->body) {
		h->state = IN_BODY;
	} else {
		http_reset(h);
	}
}

/* Takes up to available bytes of a body or chunk; returns how many. */
static INLINE u32 http_skip(struct http *h, u32 available)
{
	u32 n = h->body < available ? (u32)h->body : available;

	h->body -= n;
	if (h->body == 0) {
		if (h->state == IN_BODY)
			http_reset(h);
		else
			h->state = AT_CHUNK_CR;
	}
	return n;
}
