/* SPDX-License-Identifier: Dual MIT/GPL
 * The verdict on one header block. The order of the questions is that of
 * policy.Verdict, which is its oracle. Zero refuses. */
#pragma once

/* Same numbers as policy.Reason. */
enum reason {
	NO_ROUTE, ALLOWED, PUBLIC_ROUTE, NO_TOKEN, UNKNOWN_TOKEN, REVOKED, EXPIRED, NOT_YET_VALID, INACTIVE,
	OTHER_ORGANIZATION, NEEDS_MFA, NEEDS_RIGHTS, NO_LEASE, MALFORMED, NOT_BEARER, NO_BODY_HERE, TOO_LARGE,
	NOT_IMPLEMENTED, BAD_VERSION, TOO_MANY, INTERNAL,
};

enum action { DENY, PUBLIC, TOKEN };
enum { RULE_UPGRADE = 1, RULE_GET_BODY = 2 };
