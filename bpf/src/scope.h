/* SPDX-License-Identifier: Dual MIT/GPL
 * Scope: which protected address a socket has. It must never look at what a packet
 * says of itself. */
#pragma once

enum {
	AF_INET_ = 2,
	LISTENING = 10, /* TCP_LISTEN */
};

static INLINE u64 *find(struct service_key *key)
{
	u64 *place = bpf_map_lookup_elem(&services, key);

	if (place)
		return place;
	__builtin_memset(key->address, 0, sizeof(key->address));
	return bpf_map_lookup_elem(&services, key);
}

static INLINE void put_v4(struct service_key *key, u32 address)
{
	key->address[10] = key->address[11] = 0xff;
	__builtin_memcpy(key->address + 12, &address, 4);
}

/* The place of the protected address that a packet's socket has, or none. A
 * packet without a full socket has no listener or is of a closed connection. */
static INLINE u64 *place_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct service_key key = {};
	u32 part;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != 6)
		return 0;
	key.netns = bpf_get_netns_cookie(skb);
	key.port = sk->src_port;
	if (sk->family == AF_INET_) {
		put_v4(&key, sk->src_ip4);
	} else {
		part = sk->src_ip6[0];
		__builtin_memcpy(key.address, &part, 4);
		part = sk->src_ip6[1];
		__builtin_memcpy(key.address + 4, &part, 4);
		part = sk->src_ip6[2];
		__builtin_memcpy(key.address + 8, &part, 4);
		part = sk->src_ip6[3];
		__builtin_memcpy(key.address + 12, &part, 4);
	}
	return find(&key);
}
