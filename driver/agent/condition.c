/* Conditions and findings in frames.
 *
 * A condition: uint8 kind, uint8 flags, uint32 port, uint32 limit in ms, text subject, text user.
 * A finding: uint8 sight, bytes.
 */
#include "agent/condition.h"

enum { ABSENT = 1, FIRST = 2, HAS_SUBJECT = 4, HAS_USER = 8, FLAGS = 15 };

enum { LIMIT_MOST = 3600 * 1000 }; /* ms */

/* What a finding may have seen: more is of no use to anyone. */
enum { SEEN_MOST = 32 << 10 };

static uint32_t milliseconds(double seconds)
{
	double limit = seconds * 1000;

	if (!(limit > 0))
		return 0;
	return limit < LIMIT_MOST ? (uint32_t)limit : LIMIT_MOST;
}

void ntd_condition_pack(struct ntd_buf *out, const struct ntd_condition *condition)
{
	ntd_pack_u8(out, condition->kind);
	ntd_pack_u8(out, (condition->absent ? ABSENT : 0) | (condition->first ? FIRST : 0) |
				 (condition->subject ? HAS_SUBJECT : 0) |
				 (condition->user ? HAS_USER : 0));
	ntd_pack_u32(out, condition->port);
	ntd_pack_u32(out, milliseconds(condition->limit));
	ntd_pack_text(out, condition->subject ? condition->subject : "");
	ntd_pack_text(out, condition->user ? condition->user : "");
}

/* The text, a new string, or NULL if it is not to be there. */
static char *unpack_if(struct ntd_unpack *in, bool there)
{
	char *text = ntd_unpack_text(in);

	if (!there)
		free(ntd_steal(&text));
	return text;
}

bool ntd_condition_unpack(const char *payload, size_t len, struct ntd_condition *condition)
{
	struct ntd_unpack in = {.at = payload, .left = len};
	uint8_t kind = ntd_unpack_u8(&in), flags = ntd_unpack_u8(&in);
	uint32_t limit;

	*condition = (struct ntd_condition){.absent = flags & ABSENT, .first = flags & FIRST};
	condition->port = ntd_unpack_u32(&in);
	limit = ntd_unpack_u32(&in);
	condition->limit = limit / 1000.0;
	condition->subject = unpack_if(&in, flags & HAS_SUBJECT);
	condition->user = unpack_if(&in, flags & HAS_USER);
	if (kind >= NTD_CONDITION_COUNT || flags > FLAGS || limit > LIMIT_MOST)
		return false;
	condition->kind = kind;
	return ntd_unpack_is_whole(&in);
}

void ntd_condition_free(struct ntd_condition *condition)
{
	free((char *)ntd_steal(&condition->subject));
	free((char *)ntd_steal(&condition->user));
}

void ntd_finding_pack(struct ntd_buf *out, enum ntd_sight sight, const struct ntd_buf *seen)
{
	size_t len = seen ? seen->len : 0;

	ntd_pack_u8(out, sight);
	ntd_pack_bytes(out, seen ? ntd_buf_bytes(seen) : "", len < SEEN_MOST ? len : SEEN_MOST);
}

bool ntd_finding_unpack(const char *payload, size_t len, struct ntd_finding *finding)
{
	struct ntd_unpack in = {.at = payload, .left = len};
	uint8_t sight = ntd_unpack_u8(&in);
	size_t seen;
	const char *bytes = ntd_unpack_bytes(&in, &seen);

	*finding = (struct ntd_finding){.sight = NTD_UNSEEN};
	if (sight >= NTD_SIGHT_COUNT || seen > SEEN_MOST || !ntd_unpack_is_whole(&in))
		return false;
	finding->sight = sight;
	ntd_buf_append(&finding->seen, bytes, seen);
	return true;
}
