/* SPDX-License-Identifier: Dual MIT/GPL
 * SipHash-2-4 with 128-bit output, a word at a time. It is the token key: a PRF
 * under a secret that every node has and no client knows. */
#pragma once

struct sip {
	u64 v0, v1, v2, v3;
};

#define SIP_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static INLINE void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = SIP_ROTL(s->v1, 13) ^ s->v0;
	s->v0 = SIP_ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = SIP_ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = SIP_ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = SIP_ROTL(s->v1, 17) ^ s->v2;
	s->v2 = SIP_ROTL(s->v2, 32);
}

static INLINE void sip_init(struct sip *s, u64 k0, u64 k1)
{
	s->v0 = k0 ^ 0x736f6d6570736575ULL;
	s->v1 = k1 ^ 0x646f72616e646f6dULL ^ 0xee;
	s->v2 = k0 ^ 0x6c7967656e657261ULL;
	s->v3 = k1 ^ 0x7465646279746573ULL;
}

static INLINE void sip_word(struct sip *s, u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

/* last holds the bytes after the last whole word, low byte first. */
static INLINE void sip_final(struct sip *s, u64 last, u32 length, u64 *h0, u64 *h1)
{
	sip_word(s, (u64)(length & 0xff) << 56 | last);
	s->v2 ^= 0xee;
	for (int i = 0; i < 4; i++)
		sip_round(s);
	*h0 = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
	s->v1 ^= 0xdd;
	for (int i = 0; i < 4; i++)
		sip_round(s);
	*h1 = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}
