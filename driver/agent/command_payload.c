/* The payloads of commands. Both sides; pure, any thread. */
#include "agent/command.h"

void ntd_agent_run_pack(struct ntd_buf *out, const struct ntd_agent_run *run)
{
	ntd_pack_u8(out, run->input);
	ntd_pack_u8(out, run->errors);
	ntd_pack_u64(out, run->timeout);
	ntd_pack_u64(out, run->grace);
	ntd_pack_u64(out, run->text_follows);
	ntd_pack_bytes(out, run->text, run->text_follows ? 0 : run->text_len);
}

static bool unpack_flag(struct ntd_unpack *in)
{
	uint8_t value = ntd_unpack_u8(in);

	in->bad = in->bad || value > 1;
	return value;
}

bool ntd_agent_run_unpack(const char *payload, size_t len, struct ntd_agent_run *run)
{
	struct ntd_unpack in = {.at = payload, .left = len};

	run->input = unpack_flag(&in);
	run->errors = unpack_flag(&in);
	run->timeout = ntd_unpack_u64(&in);
	run->grace = ntd_unpack_u64(&in);
	run->text_follows = ntd_unpack_u64(&in);
	run->text = ntd_unpack_bytes(&in, &run->text_len);
	return ntd_unpack_is_whole(&in) && run->text_follows <= NTD_AGENT_TEXT_MOST &&
	       run->text_len <= NTD_AGENT_TEXT_SHORT;
}

void ntd_agent_ran_pack(struct ntd_buf *out, const struct ntd_agent_ran *ran)
{
	ntd_pack_u32(out, ran->status);
	ntd_pack_u8(out, (uint8_t)ran->how);
	ntd_pack_bytes(out, ran->holders, ran->holders_len);
}

bool ntd_agent_ran_unpack(const char *payload, size_t len, struct ntd_agent_ran *ran)
{
	struct ntd_unpack in = {.at = payload, .left = len};

	ran->status = ntd_unpack_u32(&in);
	ran->how = ntd_unpack_u8(&in);
	ran->holders = ntd_unpack_bytes(&in, &ran->holders_len);
	return ntd_unpack_is_whole(&in) && ran->status <= UINT8_MAX && ran->how <= NTD_AGENT_HELD &&
	       ran->holders_len <= NTD_AGENT_HELD_MOST;
}
