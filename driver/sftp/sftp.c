/* The life of an SFTP client: the greeting, requests and their answers, the end. It runs on the
 * loop thread and never blocks but for files of this host.
 *
 * Each function of the client that others call ends in settle(), which asks the side for more
 * requests, tells the wire, and tells at last that the client is done; what the owner does in these
 * calls may come back into the client, but for settle() itself.
 */
#include "sftp/internal.h"

enum {
	VERSION = 3,
	CHUNK_SIZE = 32 << 10,     /* what every server must take and give */
	LARGEST_CHUNK = 255 << 10, /* so that a DATA packet keeps below the limit */
	PACKET_ROOM = 1024,        /* what a packet has around its data */
};

/* ---- answers */

static void begin_copy(struct ntd_sftp *sftp)
{
	sftp->phase = NTD_SFTP_COPYING;
	sftp->side->begin(sftp);
}

static uint32_t chunk(uint64_t offered)
{
	if (offered < CHUNK_SIZE)
		return CHUNK_SIZE;
	return offered < LARGEST_CHUNK ? (uint32_t)offered : LARGEST_CHUNK;
}

/* The limits are four numbers: of a packet, a READ, a WRITE, and of open handles. Larger pieces
 * need fewer answers, each of which is a packet that the guest has to encrypt. */
static void got_limits(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		       const struct ntd_sftp_answer *answer)
{
	struct ntd_sftp_reader rest = answer->rest;
	uint64_t packet, read, write;

	if (answer->type == NTD_SFTP_EXTENDED_REPLY) {
		packet = ntd_sftp_get_u64(&rest);
		read = ntd_sftp_get_u64(&rest);
		write = ntd_sftp_get_u64(&rest);
		if (!rest.bad && packet > CHUNK_SIZE + PACKET_ROOM) {
			packet -= PACKET_ROOM;
			sftp->read_size = chunk(read < packet ? read : packet);
			sftp->write_size = chunk(write < packet ? write : packet);
		}
	}
	begin_copy(sftp);
}

static void got_version(struct ntd_sftp *sftp, struct ntd_sftp_reader packet)
{
	if (ntd_sftp_read_version(packet, &sftp->offer) < 0) {
		ntd_sftp_fail_protocol(sftp, "no version");
		return;
	}
	if (sftp->offer.version != VERSION) {
		ntd_sftp_fail_protocol(sftp, "version %u of the protocol, not %d",
				       sftp->offer.version, VERSION);
		return;
	}
	if (sftp->offer.limits)
		ntd_sftp_call_path(sftp, NTD_SFTP_EXTENDED, "limits@openssh.com", got_limits, NULL);
	else
		begin_copy(sftp);
}

static void got_answer(struct ntd_sftp *sftp, struct ntd_sftp_reader packet)
{
	struct ntd_sftp_answer answer;
	struct ntd_sftp_call *place, call;

	if (ntd_sftp_read_answer(packet, &answer) < 0) {
		ntd_sftp_fail_protocol(sftp, "an answer that cannot be read");
		return;
	}
	place = &sftp->calls[answer.id % NTD_SFTP_CALLS];
	call = *place;
	if (!call.answered || call.id != answer.id) {
		ntd_sftp_fail_protocol(sftp, "an answer to no request");
		return;
	}
	place->answered = NULL;
	sftp->in_flight--;
	if (sftp->phase != NTD_SFTP_CLEANING || call.cleaning)
		call.answered(sftp, &call, &answer);
}

static void got_packet(struct ntd_sftp *sftp, struct ntd_sftp_reader packet)
{
	if (sftp->phase == NTD_SFTP_GREETING && sftp->in_flight == 0)
		got_version(sftp, packet);
	else
		got_answer(sftp, packet);
}

static void take_packets(struct ntd_sftp *sftp)
{
	struct ntd_sftp_reader packet;
	ssize_t len;

	while (sftp->phase != NTD_SFTP_DONE) {
		len = ntd_sftp_first_packet(ntd_buf_bytes(&sftp->input), sftp->input.len, &packet);
		if (len == 0)
			return;
		if (len < 0) {
			ntd_sftp_fail_protocol(sftp, "a packet of an impossible length");
			return;
		}
		got_packet(sftp, packet);
		ntd_buf_consume(&sftp->input, (size_t)len);
	}
}

/* ---- the client's functions */

static void make_more(struct ntd_sftp *sftp)
{
	if (sftp->phase == NTD_SFTP_COPYING)
		sftp->side->pump(sftp);
	if (sftp->phase == NTD_SFTP_CLEANING && sftp->side->clean(sftp)) {
		sftp->phase = NTD_SFTP_DONE;
		sftp->cleaned = true;
	}
}

static void note_left(struct ntd_sftp *sftp)
{
	if (sftp->copy && sftp->error && !sftp->cleaned && sftp->side->left)
		sftp->side->left(sftp, &sftp->left);
}

static void settle(struct ntd_sftp *sftp)
{
	if (sftp->inside) {
		sftp->again = true;
		return;
	}
	sftp->inside = true;
	do {
		sftp->again = false;
		make_more(sftp);
		if (sftp->output.len && sftp->phase != NTD_SFTP_DONE)
			sftp->wire.output(sftp->wire.owner);
	} while (sftp->again && sftp->phase != NTD_SFTP_DONE);
	sftp->inside = false;
	if (sftp->phase == NTD_SFTP_DONE && !sftp->told) {
		sftp->told = true;
		note_left(sftp);
		sftp->side->free(
			sftp); /* what is half written is gone when the owner hears of it */
		sftp->wire.done(sftp->wire.owner, ntd_steal(&sftp->error));
	}
}

struct ntd_sftp *ntd_sftp_new(enum ntd_sftp_direction direction, const char *source,
			      const char *target, const struct ntd_sftp_wire *wire)
{
	struct ntd_sftp *sftp = ntd_calloc(1, sizeof *sftp);

	sftp->wire = *wire;
	sftp->side = direction == NTD_SFTP_PUT ? &ntd_sftp_put_side : &ntd_sftp_get_side;
	sftp->source = ntd_sftp_trimmed(source);
	sftp->target = ntd_sftp_trimmed(target);
	sftp->read_size = sftp->write_size = CHUNK_SIZE;
	return sftp;
}

void ntd_sftp_follow(struct ntd_sftp *sftp)
{
	sftp->follow = true;
}

void ntd_sftp_follow_all(struct ntd_sftp *sftp)
{
	sftp->follow = sftp->follow_all = true;
}

void ntd_sftp_begin(struct ntd_sftp *sftp)
{
	sftp->phase = NTD_SFTP_GREETING;
	ntd_sftp_put_end(&sftp->output, ntd_sftp_put_begin(&sftp->output, NTD_SFTP_INIT, VERSION));
	settle(sftp);
}

/* The bytes of a server that goes on after the end of the copy are dropped. */
void ntd_sftp_input(struct ntd_sftp *sftp, const char *bytes, size_t len)
{
	if (sftp->phase == NTD_SFTP_DONE || sftp->phase == NTD_SFTP_NEW)
		return;
	ntd_buf_append(&sftp->input, bytes, len);
	take_packets(sftp);
	settle(sftp);
}

struct ntd_buf *ntd_sftp_output(struct ntd_sftp *sftp)
{
	return &sftp->output;
}

void ntd_sftp_sent(struct ntd_sftp *sftp)
{
	settle(sftp);
}

void ntd_sftp_ended(struct ntd_sftp *sftp, const struct ntd_error *why)
{
	struct ntd_error *error =
		why ? ntd_error_copy(why)
		    : ntd_error_new(NTD_E_MACHINE, "the SFTP server has ended before its time");

	if (sftp->phase == NTD_SFTP_DONE) {
		ntd_error_free(error);
		return;
	}
	ntd_error_wrap(&error, "cannot copy %s to %s", sftp->source, sftp->target);
	ntd_sftp_fail(sftp, error);
	sftp->phase = NTD_SFTP_DONE;
	settle(sftp);
}

void ntd_sftp_cancel(struct ntd_sftp *sftp)
{
	if (ntd_sftp_is_over(sftp))
		return;
	ntd_sftp_fail(sftp, ntd_error_new(NTD_E_CANCELLED, "interrupted"));
	settle(sftp);
}

void ntd_sftp_left(struct ntd_sftp *sftp, struct ntd_buf *paths)
{
	ntd_buf_append(paths, ntd_buf_bytes(&sftp->left), sftp->left.len);
	if (sftp->copy && sftp->side->left)
		sftp->side->left(sftp, paths);
}

const struct ntd_buf *ntd_sftp_without(const struct ntd_sftp *sftp)
{
	return &sftp->without;
}

struct ntd_sftp_progress ntd_sftp_progress(const struct ntd_sftp *sftp)
{
	return sftp->progress;
}

void ntd_sftp_free(struct ntd_sftp *sftp)
{
	if (!sftp)
		return;
	sftp->side->free(sftp);
	ntd_error_free(sftp->error);
	ntd_buf_free(&sftp->input);
	ntd_buf_free(&sftp->output);
	ntd_buf_free(&sftp->left);
	ntd_buf_free(&sftp->without);
	free(sftp->source);
	free(sftp->target);
	free(sftp);
}
