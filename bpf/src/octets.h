/* SPDX-License-Identifier: Dual MIT/GPL
 * Classes of the bytes of a request, asked of one byte or of eight at once. It
 * knows no state.
 *
 * The includer provides u8…u64 and INLINE. */
#pragma once

#define PACK(a, b, c, d, e, f, g, h) \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | \
	 (u64)(e) << 32 | (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)

/* Eight bytes at a time: is there one below n, or equal to n? Exact for words
 * without a byte of 0x80 and above; callers that allow those test them too. */
#define EVERY 0x0101010101010101ULL
#define HIGH 0x8080808080808080ULL
#define ANY_BELOW(w, n) (((w) - EVERY * (n)) & ~(w) & HIGH)
#define ANY_IS(w, n) ((((w) ^ (EVERY * (n))) - EVERY) & ~((w) ^ (EVERY * (n))) & HIGH)
/* Where the lowest of the bytes is that these found, which is always a true one. */
#define FIRST_OF(found) ((u32)((((((found) & -(found)) >> 7) - 1) & EVERY) * EVERY >> 56))

/* The bytes of a word that end what is skipped, or need a look. */
#define ENDS_VALUE(w) (ANY_BELOW(w, 0x20) | ANY_IS(w, 0x7f))
#define ENDS_QUERY(w) (ANY_BELOW(w, 0x21) | ANY_IS(w, 0x7f) | ANY_IS(w, '#') | ((w) & HIGH))
#define ENDS_TOKEN(w) (ANY_BELOW(w, 0x21) | ANY_IS(w, 0x7f) | ANY_IS(w, ',') | ((w) & HIGH))

/* Whether four words are all of bytes that a token may have: with the high bits
 * clear, an addition carries into that of its own byte only. */
#define LOW_OF(w) ((w) | ((w) + EVERY))                                           /* high: 0x7f and above */
#define FIT_OF(w) (((w) + EVERY * (0x80 - 0x21)) & (((w) ^ EVERY * ',') + EVERY * 0x7f)) /* high: fits */

static INLINE int is_alnum(u32 c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

#define BIT(c) (1ULL << (c))

/* RFC 9110 tchar in lower case, with '_' as '-'; 0 is none */
static const u8 name_bytes[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
	['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '-', ['`'] = '`', ['|'] = '|', ['~'] = '~',
	['0'] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
	['A'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
	'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
	['a'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
	'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
};

/* RFC 3986 pchar without ';', which Java servers take for a path parameter */
static INLINE int is_pchar(u32 c)
{
	if (is_alnum(c))
		return 1;
	if (c < 64)
		return (BIT(c) & (BIT('!') | BIT('$') | BIT('&') | BIT('\'') | BIT('(') | BIT(')') | BIT('*') |
				  BIT('+') | BIT(',') | BIT('-') | BIT('.') | BIT(':') | BIT('='))) != 0;
	return c == '@' || c == '_' || c == '~';
}

static INLINE int hex_value(u32 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (int)(c - 'a' + 10) : -1;
}
