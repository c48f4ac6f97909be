/* A client of SFTP with a server that the test scripts: a function answers each request, as badly
 * as the test wants. Everything is on the test's thread, without descriptors. By itself the server
 * has a directory with one file, which it gives and takes as a good server does.
 */
#pragma once

#include "tree_fixture.h"

#include "sftp/packet.h"
#include "sftp/sftp.h"

struct scripted;

/* Answers a request by functions below, and returns true; false: the server answers it well. */
typedef bool answer_fn(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request);

struct scripted {
	answer_fn *answer;
	const char *extension; /* that it offers; NULL: none */
	bool is_version_2;     /* of the extension; else 1 */
	bool follow;           /* the client follows links */
	size_t piece;          /* bytes that reach the client at a time; 0: all */
	struct ntd_sftp *sftp;
	struct ntd_buf requests, answers;
	unsigned turn, listings; /* for the test; how many listings there were */
	bool quiet;              /* the server has nothing to say, and waits */
	bool done;
	struct ntd_error *error;
};

/* ---- answers */

static inline size_t begin_answer(struct scripted *server, enum ntd_sftp_type type, uint32_t id)
{
	return ntd_sftp_put_begin(&server->answers, type, id);
}

static inline void end_answer(struct scripted *server, size_t begun)
{
	ntd_sftp_put_end(&server->answers, begun);
}

static inline bool say_status(struct scripted *server, uint32_t id, uint32_t code,
			      const char *words)
{
	size_t begun = begin_answer(server, NTD_SFTP_STATUS, id);

	ntd_sftp_put_u32(&server->answers, code);
	ntd_sftp_put_string(&server->answers, words, strlen(words));
	ntd_sftp_put_string(&server->answers, "", 0);
	end_answer(server, begun);
	return true;
}

static inline bool say_bytes(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			     const void *bytes, size_t len)
{
	size_t begun = begin_answer(server, type, id);

	ntd_sftp_put_string(&server->answers, bytes, len);
	end_answer(server, begun);
	return true;
}

static inline struct ntd_sftp_attrs attrs_of(mode_t mode, uint64_t size)
{
	return (struct ntd_sftp_attrs){
		.flags = NTD_SFTP_HAS_MODE | NTD_SFTP_HAS_SIZE, .mode = mode, .size = size};
}

static inline bool say_attrs(struct scripted *server, uint32_t id, mode_t mode, uint64_t size)
{
	size_t begun = begin_answer(server, NTD_SFTP_ATTRS, id);

	ntd_sftp_put_attrs(&server->answers,
			   &(struct ntd_sftp_attrs){.flags = NTD_SFTP_HAS_MODE | NTD_SFTP_HAS_SIZE,
						    .mode = mode,
						    .size = size});
	end_answer(server, begun);
	return true;
}

/* NAME is made of a beginning with the number of names, the names, and end_answer(). */
static inline size_t begin_names(struct scripted *server, uint32_t id, uint32_t count)
{
	size_t begun = begin_answer(server, NTD_SFTP_NAME, id);

	ntd_sftp_put_u32(&server->answers, count);
	return begun;
}

static inline void add_name(struct scripted *server, const char *name, size_t len,
			    const struct ntd_sftp_attrs *attrs)
{
	ntd_sftp_put_string(&server->answers, name, len);
	ntd_sftp_put_string(&server->answers, "-rw", 3);
	ntd_sftp_put_attrs(&server->answers, attrs);
}

static inline bool say_name(struct scripted *server, uint32_t id, const char *name, size_t len,
			    mode_t mode, uint64_t size)
{
	struct ntd_sftp_attrs attrs = attrs_of(mode, size);
	size_t begun = begin_names(server, id, 1);

	add_name(server, name, len, &attrs);
	end_answer(server, begun);
	return true;
}

/* ---- the good server */

static inline void say_version(struct scripted *server, uint32_t version)
{
	size_t begun = begin_answer(server, NTD_SFTP_VERSION, version);

	if (server->extension) {
		ntd_sftp_put_string(&server->answers, server->extension, strlen(server->extension));
		ntd_sftp_put_string(&server->answers, server->is_version_2 ? "2" : "1", 1);
	}
	end_answer(server, begun);
}

static inline bool answer_path(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			       struct ntd_sftp_reader *request)
{
	struct ntd_sftp_string path = ntd_sftp_get_string(request);

	if (path.len >= 3 && memcmp(path.bytes + path.len - 3, "new", 3) == 0)
		return say_status(server, id, NTD_SFTP_NO_SUCH_FILE, "");
	return say_attrs(server, id,
			 path.len >= 4 && memcmp(path.bytes + path.len - 4, "file", 4) == 0
				 ? S_IFREG | 0640
				 : S_IFDIR | 0750,
			 4);
}

static inline bool answer_well(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			       struct ntd_sftp_reader *request)
{
	uint64_t offset;

	switch ((int)type) {
	case NTD_SFTP_STAT:
	case NTD_SFTP_LSTAT:
		return answer_path(server, type, id, request);
	case NTD_SFTP_OPENDIR:
		server->listings = 0;
		return say_bytes(server, NTD_SFTP_HANDLE, id, "listing", 7);
	case NTD_SFTP_OPEN:
		return say_bytes(server, NTD_SFTP_HANDLE, id, "handle", 6);
	case NTD_SFTP_READDIR:
		return server->listings++ ? say_status(server, id, NTD_SFTP_EOF, "")
					  : say_name(server, id, "file", 4, S_IFREG | 0640, 4);
	case NTD_SFTP_READ:
		ntd_sftp_get_string(request);
		offset = ntd_sftp_get_u64(request);
		return offset < 4 ? say_bytes(server, NTD_SFTP_DATA, id, "data" + offset,
					      4 - (size_t)offset)
				  : say_status(server, id, NTD_SFTP_EOF, "");
	case NTD_SFTP_READLINK:
		return say_name(server, id, "elsewhere", 9, 0, 0);
	default:
		return say_status(server, id, NTD_SFTP_OK, "");
	}
}

/* ---- the run of a copy */

static inline void scripted_output(void *owner)
{
	struct scripted *server = owner;
	struct ntd_buf *output = ntd_sftp_output(server->sftp);

	ntd_buf_append(&server->requests, ntd_buf_bytes(output), output->len);
	ntd_buf_clear(output);
	ntd_sftp_sent(server->sftp);
}

static inline void scripted_done(void *owner, struct ntd_error *error)
{
	struct scripted *server = owner;

	assert_false(server->done);
	server->done = true;
	server->error = error;
}

/* Answers the first request; returns whether there was one. */
static inline bool answer_one(struct scripted *server)
{
	struct ntd_sftp_reader packet;
	ssize_t len = ntd_sftp_first_packet(ntd_buf_bytes(&server->requests), server->requests.len,
					    &packet);
	enum ntd_sftp_type type;
	uint32_t id;

	assert_true(len >= 0);
	if (len == 0)
		return false;
	type = (enum ntd_sftp_type)packet.at[0];
	packet.at++;
	packet.left--;
	id = ntd_sftp_get_u32(&packet);
	if (!server->answer || !server->answer(server, type, id, &packet)) {
		if (type == NTD_SFTP_INIT)
			say_version(server, 3);
		else
			answer_well(server, type, id, &packet);
	}
	ntd_buf_consume(&server->requests, (size_t)len);
	return true;
}

static inline void deliver(struct scripted *server)
{
	while (server->answers.len && !server->done) {
		size_t len = server->piece && server->piece < server->answers.len
				     ? server->piece
				     : server->answers.len;
		/* An exact copy, so that a sanitizer notices reads past its end. */
		char *bytes = ntd_malloc(len);

		memcpy(bytes, ntd_buf_bytes(&server->answers), len);
		ntd_buf_consume(&server->answers, len);
		ntd_sftp_input(server->sftp, bytes, len);
		free(bytes);
	}
}

/* Runs until the client is done, or the server is quiet. */
static inline void talk(struct scripted *server)
{
	while (!server->done && !server->quiet) {
		if (!answer_one(server))
			fail_msg("both sides wait");
		deliver(server);
	}
}

static inline void begin_scripted(struct scripted *server, enum ntd_sftp_direction direction,
				  const char *source, const char *target)
{
	struct ntd_sftp_wire wire = {scripted_output, scripted_done, server};

	server->sftp = ntd_sftp_new(direction, source, target, &wire);
	if (server->follow)
		ntd_sftp_follow(server->sftp);
	ntd_sftp_begin(server->sftp);
	talk(server);
}

static inline void end_scripted(struct scripted *server)
{
	ntd_sftp_free(server->sftp);
	ntd_buf_free(&server->requests);
	ntd_buf_free(&server->answers);
}

/* ---- tests: a file "outside" is on the host, and a copy becomes "to" */

/* Asserts that the base holds nothing but what the test has put there, "outside". */
static inline void assert_nothing_made(void)
{
	_cleanup_free_ char *command = ntd_asprintf(
		"cd %s && test \"$(find . | sort | tr '\\n' ' ')\" = '. ./outside '", base);

	if (system(command) != 0)
		fail_msg("the copy has left something");
}

static inline struct ntd_error *copy_by(answer_fn *answer, enum ntd_sftp_direction direction,
					const char *source, size_t piece)
{
	struct scripted server = {.answer = answer, .piece = piece};

	begin_scripted(&server, direction, source,
		       direction == NTD_SFTP_GET ? at("to") : "/guest/new");
	end_scripted(&server);
	return server.error;
}

/* A copy of a directory from such a server must fail, in whatever pieces the answers come, and
 * leave nothing on the host. */
static inline void assert_get_fails(answer_fn *answer, enum ntd_errc code, const char *text)
{
	for (size_t piece = 0; piece < 8; piece += 7) {
		assert_error(copy_by(answer, NTD_SFTP_GET, "/dir", piece), code, text);
		assert_nothing_made();
	}
}

static inline void assert_put_fails(answer_fn *answer, enum ntd_errc code, const char *text)
{
	assert_error(copy_by(answer, NTD_SFTP_PUT, at("outside"), 0), code, text);
}

static inline int set_up_outside(void **state)
{
	if (set_up(state) < 0)
		return -1;
	write_file("outside", "precious", 0644);
	return 0;
}
