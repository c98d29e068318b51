/* SPDX-License-Identifier: Dual MIT/GPL
 * The strict HTTP/1.1 request machine. It keeps no bytes, only a state, so any
 * split of the stream by TCP gives the same result. Whatever two parsers could
 * read differently is an error, and one error ends the connection.
 *
 * The includer provides u8…u64, INLINE, STEP (the linkage of http_step),
 * BOUND(i) (keeps an index inside the chunk), CHECK_ARGS, path_next(state,
 * byte) and secret_k0() and secret_k1(). */
#pragma once

#include "octets.h"

#define CHUNK 1024 /* bytes handed to one run of steps; a power of two */
#define HEADER_MAX (32 * 1024)
#define LENGTH_DIGITS_MAX 15 /* of Content-Length */
#define CHUNK_DIGITS_MAX 8
#define NAME_MAX_COUNTED 255

enum state {
	AT_METHOD, AT_TARGET, IN_PATH, IN_PERCENT_1, IN_PERCENT_2, IN_QUERY, IN_VERSION, AT_VERSION_CR,
	AT_LINE_LF, AT_LINE, IN_NAME, AT_VALUE, IN_VALUE, AT_END_LF,
	IN_SCHEME, AT_SCHEME_SPACE, IN_TOKEN, IN_LENGTH, IN_CODING, IN_TRAILING_SPACE,
	IN_BODY, /* this state and those below are past the header block */
	IN_CHUNK_SIZE, AT_CHUNK_SIZE_LF, IN_CHUNK, AT_CHUNK_CR, AT_CHUNK_LF, AT_END_CR, AT_LAST_LF,
	DEAD,
};

/* Same numbers as in package policy. */
enum method { GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS };

enum header { OTHER, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING, HOST, UPGRADE, FORBIDDEN };

enum flag {
	HAS_TOKEN = 1, HAS_LENGTH = 2, HAS_CODING = 4, HAS_HOST = 8, HAS_UPGRADE = 16,
	VERSION_10 = 32, FOLDED = 64, /* the name had an underscore */
};

enum step { STEP_MORE, STEP_HEADER, STEP_ERROR };

struct http {
	struct sip sip;
	u64 word;    /* bytes being gathered: method, version, scheme, coding, token */
	u64 name[4]; /* header name, in three of them, lower-cased, '_' as '-' */
	u64 body;    /* bytes left in body or chunk */
	u64 h0, h1;  /* key of the bearer token */
	u32 header_bytes;
	u32 token_length;
	u16 path; /* state of the path automaton */
	u16 start;
	u8 state, method, count, header, flags, dots, step, percent;
	u8 error; /* a reason, when step is STEP_ERROR */
	u8 pad[7];
};

struct chunk {
	u8 b[CHUNK + 8];
};

#define BYTE_AT(i) ({ u32 at_ = (i); BOUND(at_); (u32)in->b[at_]; })
/* One load at any address, which the kernels that run this do cheaply; a memcpy
 * of eight bytes becomes eight loads here, a tenth of a verdict. */
#define WORD_AT(i) ({ u32 at_ = (i); BOUND(at_); *(const u64 *)(in->b + at_); })

#define FAIL(reason) do { h->error = (reason); h->step = STEP_ERROR; h->state = DEAD; return i; } while (0)

static INLINE void http_reset(struct http *h)
{
	h->word = h->name[0] = h->name[1] = h->name[2] = h->body = h->h0 = h->h1 = 0;
	h->header_bytes = h->token_length = 0;
	h->path = h->start;
	h->state = AT_METHOD;
	h->method = h->count = h->header = h->flags = h->dots = h->step = h->percent = h->error = 0;
}

#define NAME_IS(n, a, b, c) (h->count == (n) && h->name[0] == (a) && h->name[1] == (b) && h->name[2] == (c))

static INLINE u32 header_of(const struct http *h)
{
	if (NAME_IS(13, PACK('a','u','t','h','o','r','i','z'), PACK('a','t','i','o','n',0,0,0), 0))
		return AUTHORIZATION;
	if (NAME_IS(14, PACK('c','o','n','t','e','n','t','-'), PACK('l','e','n','g','t','h',0,0), 0))
		return CONTENT_LENGTH;
	if (NAME_IS(17, PACK('t','r','a','n','s','f','e','r'), PACK('-','e','n','c','o','d','i','n'), 'g'))
		return TRANSFER_ENCODING;
	if (NAME_IS(4, PACK('h','o','s','t',0,0,0,0), 0, 0))
		return HOST;
	if (NAME_IS(7, PACK('u','p','g','r','a','d','e',0), 0, 0))
		return UPGRADE;
	/* These make an application act on another method or path than the
	 * request line says. */
	if (NAME_IS(22, PACK('x','-','h','t','t','p','-','m'), PACK('e','t','h','o','d','-','o','v'), PACK('e','r','r','i','d','e',0,0)))
		return FORBIDDEN;
	if (NAME_IS(13, PACK('x','-','h','t','t','p','-','m'), PACK('e','t','h','o','d',0,0,0), 0))
		return FORBIDDEN;
	if (NAME_IS(17, PACK('x','-','m','e','t','h','o','d'), PACK('-','o','v','e','r','r','i','d'), 'e'))
		return FORBIDDEN;
	if (NAME_IS(14, PACK('x','-','o','r','i','g','i','n'), PACK('a','l','-','u','r','l',0,0), 0))
		return FORBIDDEN;
	if (NAME_IS(13, PACK('x','-','r','e','w','r','i','t'), PACK('e','-','u','r','l',0,0,0), 0))
		return FORBIDDEN;
	if (NAME_IS(14, PACK('h','t','t','p','2','-','s','e'), PACK('t','t','i','n','g','s',0,0), 0))
		return FORBIDDEN;
	return OTHER;
}

/* c is one of name_bytes, of the byte raw. */
static INLINE void name_byte(struct http *h, u32 c, u32 raw)
{
	u32 n = h->count;

	if (raw == '_')
		h->flags |= FOLDED;
	if (n < 24)
		h->name[(n >> 3) & 3] |= (u64)c << ((n & 7) * 8);
	if (n < NAME_MAX_COUNTED)
		h->count = n + 1;
}

/* A complete name: 0, or the reason why the header is refused. */
static INLINE u32 name_done(struct http *h)
{
	u32 header = header_of(h), flag = 0;

	if (header && (h->flags & FOLDED))
		return MALFORMED;
	switch (header) {
	case FORBIDDEN: return MALFORMED;
	case AUTHORIZATION: flag = HAS_TOKEN; break;
	case CONTENT_LENGTH: flag = HAS_LENGTH; break;
	case TRANSFER_ENCODING: flag = HAS_CODING; break;
	case HOST: flag = HAS_HOST; break;
	case UPGRADE: flag = HAS_UPGRADE; break;
	}
	if (h->flags & flag)
		return MALFORMED; /* a second one of a header that decides something */
	h->flags |= flag;
	h->header = header;
	h->state = AT_VALUE;
	h->count = 0;
	h->word = 0;
	return 0;
}

static INLINE int method_done(struct http *h)
{
	u64 m = h->word;

	if (m == PACK('G','E','T',0,0,0,0,0)) h->method = GET;
	else if (m == PACK('H','E','A','D',0,0,0,0)) h->method = HEAD;
	else if (m == PACK('P','O','S','T',0,0,0,0)) h->method = POST;
	else if (m == PACK('P','U','T',0,0,0,0,0)) h->method = PUT;
	else if (m == PACK('D','E','L','E','T','E',0,0)) h->method = DELETE;
	else if (m == PACK('P','A','T','C','H',0,0,0)) h->method = PATCH;
	else if (m == PACK('O','P','T','I','O','N','S',0)) h->method = OPTIONS;
	else if (m == PACK('P','R','I',0,0,0,0,0)) return BAD_VERSION; /* HTTP/2 preface */
	else return h->count ? NOT_IMPLEMENTED : MALFORMED;
	h->state = AT_TARGET;
	return 0;
}

/* Reports whether a word is full, so that the next bytes can be read as words. */
static INLINE int token_byte(struct http *h, u32 c)
{
	h->word |= (u64)c << ((h->token_length & 7) * 8);
	h->token_length++;
	if (h->token_length & 7)
		return 0;
	sip_word(&h->sip, h->word);
	h->word = 0;
	return 1;
}

/* The methods that come with most requests, with the space and the slash behind
 * them: how many bytes that is, or 0. */
static INLINE u32 common_method(u64 w, u32 *method)
{
#define FIRST(n) (~0ULL >> (64 - 8 * (n)))
	if ((w & FIRST(5)) == PACK('G','E','T',' ','/',0,0,0)) { *method = GET; return 5; }
	if ((w & FIRST(6)) == PACK('P','O','S','T',' ','/',0,0)) { *method = POST; return 6; }
	if ((w & FIRST(5)) == PACK('P','U','T',' ','/',0,0,0)) { *method = PUT; return 5; }
	if (w == PACK('D','E','L','E','T','E',' ','/')) { *method = DELETE; return 8; }
	return 0;
}

/* The case of the letters of " Bearer "; the spaces have this bit already. */
#define CASE PACK(0, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0)

/* After a CR, which is the last byte read. */
#define END_LINE() do { \
		h->state = AT_LINE_LF; \
		if (i < n && BYTE_AT(i) == '\n') { h->state = AT_LINE; i++; } \
		return i; \
	} while (0)

/* Consumes at least one byte of in[i..n) and returns the new i; h->step says
 * whether a header block is complete or wrong. Only states of the header block
 * and of chunk framing come here; bodies are skipped by http_skip. */
STEP u32 http_step(struct http *h, const struct chunk *in, u32 i, u32 n)
{
	u32 c, state;
	u64 w;
	int k, v;

	CHECK_ARGS
	if (i >= n)
		return i;
	state = h->state;
	switch (state) {
	case AT_METHOD:
		if (h->count == 0 && i + 8 <= n) {
			v = common_method(WORD_AT(i), &c);
			if (v) {
				h->method = c;
				h->path = path_next(h->start, '/');
				h->dots = 0;
				h->state = IN_PATH;
				return i + v;
			}
		}
		break;
	case IN_VERSION:
		if (h->count == 0 && i + 10 <= n && WORD_AT(i) == PACK('H','T','T','P','/','1','.','1') && BYTE_AT(i + 8) == '\r') {
			i += 9;
			END_LINE();
		}
		break;
	case AT_LINE:
		c = BYTE_AT(i);
		c = name_bytes[c & 255];
		if (!c)
			break;
		h->name[0] = h->name[1] = h->name[2] = 0;
		h->flags &= ~FOLDED;
		h->count = 0;
		h->state = IN_NAME;
		/* fall through */
	case IN_NAME:
		for (k = 0; k < 24; k++) {
			if (i >= n)
				return i;
			c = BYTE_AT(i);
			i++;
			if (c == ':') {
				v = name_done(h);
				if (v)
					FAIL(v);
				if (h->header == AUTHORIZATION && i + 8 <= n && (WORD_AT(i) | CASE) == PACK(' ','b','e','a','r','e','r',' ')) {
					i += 8;
					sip_init(&h->sip, secret_k0(), secret_k1());
					h->token_length = 0;
					h->state = IN_TOKEN;
				}
				return i;
			}
			v = name_bytes[c & 255];
			if (!v)
				FAIL(MALFORMED);
			name_byte(h, v, c);
		}
		return i;
	case IN_VALUE: /* of a header that decides nothing */
		for (k = 0; k < 16; k++) {
			w = WORD_AT(i);
			w = ENDS_VALUE(w);
			if (w)
				break;
			i += 8;
			if (i >= n)
				return n;
		}
		if (!w)
			return i;
		i += FIRST_OF(w);
		if (i >= n)
			return n;
		c = BYTE_AT(i);
		i++;
		if (c == '\r')
			END_LINE();
		if (c != '\t')
			FAIL(MALFORMED);
		return i;
	case IN_TOKEN:
		if ((h->token_length & 7) == 0) {
			struct sip s = h->sip;
			u32 from = i;
			for (k = 0; k < 4 && i + 32 <= n; k++) {
				u64 a = WORD_AT(i), b = WORD_AT(i + 8), d = WORD_AT(i + 16), e = WORD_AT(i + 24);
				if ((LOW_OF(a) | LOW_OF(b) | LOW_OF(d) | LOW_OF(e) | ~(FIT_OF(a) & FIT_OF(b) & FIT_OF(d) & FIT_OF(e))) & HIGH)
					break;
				sip_word(&s, a);
				sip_word(&s, b);
				sip_word(&s, d);
				sip_word(&s, e);
				i += 32;
			}
			if (k < 4) {
				for (k = 0; k < 4 && i + 8 <= n; k++) {
					w = WORD_AT(i);
					w = ENDS_TOKEN(w);
					if (w)
						break;
					w = WORD_AT(i);
					sip_word(&s, w);
					i += 8;
				}
			}
			h->sip = s;
			h->token_length += i - from;
			if (k == 4)
				return i;
		}
		for (k = 0; k < 8; k++) { /* to the end of a word or of the token */
			if (i >= n)
				return i;
			c = BYTE_AT(i);
			i++;
			if (c == '\r' || c == ' ' || c == '\t') {
				if (h->token_length == 0)
					FAIL(NOT_BEARER);
				sip_final(&h->sip, h->word, h->token_length, &h->h0, &h->h1);
				if (c == '\r')
					END_LINE();
				h->state = IN_TRAILING_SPACE;
				return i;
			}
			if (c <= 0x20 || c >= 0x7f || c == ',') /* a comma joins two headers */
				FAIL(NOT_BEARER);
			if (token_byte(h, c))
				return i;
		}
		return i;
	case IN_PATH:
		for (k = 0; k < 16; k++) {
			if (i >= n)
				return i;
			c = BYTE_AT(i);
			i++;
			if (c == '/' || c == '?' || c == ' ') {
				/* dots: 0 empty segment, 1 ".", 2 "..", 3 anything else */
				if (h->dots == 1 || h->dots == 2 || (c == '/' && h->dots == 0))
					FAIL(MALFORMED);
				h->dots = 0;
				if (c != '/') {
					h->state = c == '?' ? IN_QUERY : IN_VERSION;
					h->word = 0;
					h->count = 0;
					return i;
				}
			} else if (c == '%') {
				h->state = IN_PERCENT_1;
				return i;
			} else if (!is_pchar(c)) {
				FAIL(MALFORMED);
			} else {
				h->dots = c == '.' && h->dots < 2 ? h->dots + 1 : 3;
			}
			h->path = path_next(h->path, c);
		}
		return i;
	case IN_QUERY:
		for (k = 0; k < 8; k++) {
			w = WORD_AT(i);
			w = ENDS_QUERY(w);
			if (w)
				break;
			i += 8;
			if (i >= n)
				return n;
		}
		if (!w)
			return i;
		i += FIRST_OF(w);
		if (i >= n)
			return n;
		c = BYTE_AT(i);
		i++;
		if (c != ' ')
			FAIL(MALFORMED);
		h->state = IN_VERSION;
		return i;
	}
	c = BYTE_AT(i);
	i++;
	switch (state) {
	case AT_METHOD:
		if (c == ' ') {
			v = method_done(h);
			if (v)
				FAIL(v);
			return i;
		}
		if (c < 'A' || c > 'Z' || h->count >= 8)
			FAIL(MALFORMED);
		h->word |= (u64)c << ((h->count & 7) * 8);
		h->count++;
		return i;
	case AT_TARGET: /* origin form only */
		if (c != '/')
			FAIL(MALFORMED);
		h->path = path_next(h->start, c);
		h->dots = 0;
		h->state = IN_PATH;
		return i;
	case IN_PERCENT_1:
		v = hex_value(c);
		if (v < 0)
			FAIL(MALFORMED);
		h->percent = v;
		h->state = IN_PERCENT_2;
		return i;
	case IN_PERCENT_2:
		v = hex_value(c);
		if (v < 0)
			FAIL(MALFORMED);
		c = (h->percent << 4 | v) & 0xff;
		/* what a second decoding or a normalisation would change */
		if (c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == '%' || c == '.' || c == ';' || c == '?' || c == '#')
			FAIL(MALFORMED);
		h->dots = 3;
		h->path = path_next(h->path, c);
		h->state = IN_PATH;
		return i;
	case IN_VERSION:
		h->word |= (u64)c << ((h->count & 7) * 8);
		if (++h->count < 8)
			return i;
		if (h->word == PACK('H','T','T','P','/','1','.','0'))
			h->flags |= VERSION_10;
		else if (h->word != PACK('H','T','T','P','/','1','.','1'))
			FAIL(BAD_VERSION);
		h->state = AT_VERSION_CR;
		return i;
	case AT_VERSION_CR:
		if (c != '\r')
			FAIL(MALFORMED);
		h->state = AT_LINE_LF;
		return i;
	case AT_LINE_LF:
		if (c != '\n')
			FAIL(MALFORMED);
		h->state = AT_LINE;
		return i;
	case AT_LINE: /* not a name: a folded line, a bare LF, an empty name, or the end */
		if (c != '\r')
			FAIL(MALFORMED);
		h->state = AT_END_LF;
		return i;
	case AT_VALUE:
		if (c == ' ' || c == '\t')
			return i;
		switch (h->header) {
		case AUTHORIZATION:
			if ((c | 0x20) != 'b')
				FAIL(NOT_BEARER);
			h->word = 'b';
			h->count = 1;
			h->state = IN_SCHEME;
			return i;
		case CONTENT_LENGTH:
			if (c < '0' || c > '9')
				FAIL(MALFORMED);
			h->body = c - '0';
			h->count = 1;
			h->state = IN_LENGTH;
			return i;
		case TRANSFER_ENCODING:
			h->word = c | 0x20;
			h->count = 1;
			h->state = IN_CODING;
			return i;
		}
		if (c == '\r') {
			if (h->header == HOST)
				FAIL(MALFORMED);
			h->state = AT_LINE_LF;
			return i;
		}
		if (c < 0x20 || c == 0x7f)
			FAIL(MALFORMED);
		h->state = IN_VALUE;
		return i;
	case IN_SCHEME:
		h->word |= (u64)(c | 0x20) << ((h->count & 7) * 8);
		if (++h->count < 6)
			return i;
		if (h->word != PACK('b','e','a','r','e','r',0,0))
			FAIL(NOT_BEARER);
		h->state = AT_SCHEME_SPACE;
		return i;
	case AT_SCHEME_SPACE:
		if (c != ' ')
			FAIL(NOT_BEARER);
		sip_init(&h->sip, secret_k0(), secret_k1());
		h->word = 0;
		h->token_length = 0;
		h->state = IN_TOKEN;
		return i;
	case IN_TRAILING_SPACE:
		if (c == ' ' || c == '\t')
			return i;
		if (c != '\r')
			FAIL(MALFORMED);
		h->state = AT_LINE_LF;
		return i;
	case IN_LENGTH:
		if (c == '\r' || c == ' ' || c == '\t') {
			h->state = c == '\r' ? AT_LINE_LF : IN_TRAILING_SPACE;
			return i;
		}
		if (c < '0' || c > '9' || h->count >= LENGTH_DIGITS_MAX)
			FAIL(MALFORMED);
		h->body = h->body * 10 + (c - '0');
		h->count++;
		return i;
	case IN_CODING: /* exactly "chunked" */
		if (h->count < 7) {
			h->word |= (u64)(c | 0x20) << ((h->count & 7) * 8);
			if (++h->count == 7 && h->word != PACK('c','h','u','n','k','e','d',0))
				FAIL(NOT_IMPLEMENTED);
			return i;
		}
		if (c != '\r' && c != ' ' && c != '\t')
			FAIL(NOT_IMPLEMENTED);
		h->state = c == '\r' ? AT_LINE_LF : IN_TRAILING_SPACE;
		return i;
	case AT_END_LF:
		if (c != '\n')
			FAIL(MALFORMED);
		if ((h->flags & (HAS_CODING | HAS_LENGTH)) == (HAS_CODING | HAS_LENGTH))
			FAIL(MALFORMED);
		if ((h->flags & (HAS_CODING | VERSION_10)) == (HAS_CODING | VERSION_10))
			FAIL(MALFORMED);
		if (!(h->flags & (HAS_HOST | VERSION_10)))
			FAIL(MALFORMED);
		h->step = STEP_HEADER;
		return i;
	case IN_CHUNK_SIZE: /* no extensions */
		if (c == '\r' && h->count) {
			h->state = AT_CHUNK_SIZE_LF;
			return i;
		}
		v = hex_value(c);
		if (v < 0 || h->count >= CHUNK_DIGITS_MAX)
			FAIL(MALFORMED);
		h->body = h->body << 4 | v;
		h->count++;
		return i;
	case AT_CHUNK_SIZE_LF:
		if (c != '\n')
			FAIL(MALFORMED);
		h->state = h->body ? IN_CHUNK : AT_END_CR;
		return i;
	case AT_CHUNK_CR:
		if (c != '\r')
			FAIL(MALFORMED);
		h->state = AT_CHUNK_LF;
		return i;
	case AT_CHUNK_LF:
		if (c != '\n')
			FAIL(MALFORMED);
		h->state = IN_CHUNK_SIZE;
		h->count = 0;
		h->body = 0;
		return i;
	case AT_END_CR: /* no trailers */
		if (c != '\r')
			FAIL(MALFORMED);
		h->state = AT_LAST_LF;
		return i;
	case AT_LAST_LF:
		if (c != '\n')
			FAIL(MALFORMED);
		http_reset(h);
		return i;
	}
	FAIL(INTERNAL);
}
