/* SPDX-License-Identifier: Dual MIT/GPL
 * Packets: what the headers of IP and TCP say, in a packet that nobody has checked.
 * What cannot be told counts as the worse. */
#pragma once

enum {
	TCP_SYN = 2,
	TCP_OPTION_MPTCP = 30,
	TCP_OPTIONS_MAX = 40, /* bytes of options, and so options */
};

/* Offset of the TCP payload, 0 if there is none, -1 if it cannot be told. */
static INLINE int payload(struct __sk_buff *skb)
{
	u8 first, offset, next;
	u32 ip, at;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return -1;
	if (first >> 4 == 4) {
		ip = (first & 15) * 4;
	} else {
		ip = 40;
		if (bpf_skb_load_bytes(skb, 6, &next, 1) || next != 6)
			return -1; /* extension headers: taken for payload */
	}
	if (bpf_skb_load_bytes(skb, ip + 12, &offset, 1))
		return -1;
	at = ip + (offset >> 4) * 4;
	return at < skb->len ? (int)at : 0;
}

/* Whether a SYN asks for MPTCP: such a connection cannot be enrolled, and its
 * client would hang. Without an answer the client asks again without it, after
 * three seconds, and then for an hour asks no more. */
static INLINE int multipath(struct __sk_buff *skb)
{
	u8 first, offset, flags, kind, length;
	u32 at, end;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	at = first >> 4 == 4 ? (first & 15) * 4 : 40;
	if (bpf_skb_load_bytes(skb, at + 12, &offset, 1) || bpf_skb_load_bytes(skb, at + 13, &flags, 1))
		return 0;
	if ((flags & TCP_SYN) == 0)
		return 0;
	end = at + (offset >> 4) * 4;
	at += 20;
	for (int i = 0; i < TCP_OPTIONS_MAX; i++) {
		if (at >= end || bpf_skb_load_bytes(skb, at, &kind, 1) || kind == 0)
			return 0;
		if (kind == 1) {
			at++;
			continue;
		}
		if (kind == TCP_OPTION_MPTCP)
			return 1;
		if (bpf_skb_load_bytes(skb, at + 1, &length, 1) || length < 2)
			return 0;
		at += length;
	}
	return 0;
}
