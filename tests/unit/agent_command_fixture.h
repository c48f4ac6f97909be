/* Commands for an agent of tests: what a stream is asked for, and what comes back. */
#pragma once

#include "agent_fixture.h"

#include "agent/command.h"

struct heard {
	struct ntd_buf output, errors, holders;
	uint32_t status;
	enum ntd_agent_how how;
	char *failure; /* NULL: DONE came */
};

static inline void free_heard(struct heard *heard)
{
	ntd_buf_free(&heard->output);
	ntd_buf_free(&heard->errors);
	ntd_buf_free(&heard->holders);
	free(heard->failure);
}

#define _cleanup_heard_ _cleanup_(free_heard)

static inline void ask(struct agent *agent, uint32_t stream, const struct ntd_agent_run *run)
{
	_cleanup_buf_ struct ntd_buf payload = {0};

	ntd_agent_run_pack(&payload, run);
	tell(agent, NTD_FRAME_RUN, stream, &payload);
}

/* Asks for a command with that text, and what `...` says of struct ntd_agent_run. */
#define ask_text(agent, stream, command, ...)                                                      \
	ask(agent, stream,                                                                         \
	    &(struct ntd_agent_run){                                                               \
		    .text = (command), .text_len = strlen(command), ##__VA_ARGS__})

/* Takes a frame of a command into what was heard of it. Returns whether it was the last. */
static inline bool take_heard(struct heard *heard, const struct ntd_frame *frame)
{
	struct ntd_agent_ran ran;

	switch (frame->kind) {
	case NTD_FRAME_DATA:
		ntd_buf_append(&heard->output, frame->bytes, frame->len);
		return false;
	case NTD_FRAME_ERROR_DATA:
		ntd_buf_append(&heard->errors, frame->bytes, frame->len);
		return false;
	case NTD_FRAME_CREDIT:
		return false;
	case NTD_FRAME_FAILED:
		heard->failure = ntd_strndup(frame->bytes, frame->len);
		return true;
	default:
		assert_int_equal(frame->kind, NTD_FRAME_DONE);
		assert_true(ntd_agent_ran_unpack(frame->bytes, frame->len, &ran));
		heard->status = ran.status;
		heard->how = ran.how;
		ntd_buf_append(&heard->holders, ran.holders, ran.holders_len);
		return true;
	}
}

/* Hears a stream until its end; no other has anything to say. */
static inline struct heard hear_out(struct agent *agent, uint32_t stream)
{
	struct heard heard = {0};
	struct ntd_frame frame;

	do {
		frame = hear(agent);
		assert_int_equal(frame.stream, stream);
	} while (!take_heard(&heard, &frame));
	return heard;
}

static inline void assert_output(const struct heard *heard, const char *text)
{
	_cleanup_free_ char *output = ntd_strndup(ntd_buf_bytes(&heard->output), heard->output.len);

	if (heard->failure)
		fail_msg("FAILED: %s", heard->failure);
	assert_string_equal(output, text);
}

static inline void assert_ended(const struct heard *heard, uint32_t status)
{
	if (heard->failure)
		fail_msg("FAILED: %s", heard->failure);
	assert_int_equal(heard->status, status);
	assert_int_equal(heard->how, NTD_AGENT_ENDED);
}
