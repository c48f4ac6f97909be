/* Tests of the SFTP client with servers that can do little, have no room, or fall silent. */
#include "sftp_scripted.h"

#include "base/text.h"

/* ---- poor servers */

/* Does not say with a name what it is. */
static bool no_attributes(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			  struct ntd_sftp_reader *request)
{
	static const struct ntd_sftp_attrs none = {.flags = 0};
	size_t begun;

	if (type != NTD_SFTP_READDIR || server->listings++)
		return false;
	begun = begin_names(server, id, 1);
	add_name(server, "file", 4, &none);
	end_answer(server, begun);
	return true;
}

static bool no_attributes_ever(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			       struct ntd_sftp_reader *request)
{
	static const struct ntd_sftp_attrs none = {.flags = 0};
	size_t begun;

	if (type != NTD_SFTP_LSTAT)
		return false;
	begun = begin_answer(server, NTD_SFTP_ATTRS, id);
	ntd_sftp_put_attrs(&server->answers, &none);
	end_answer(server, begun);
	return true;
}

static void servers_are_asked_what_a_name_is(void **state)
{
	assert_no_error(copy_by(no_attributes, NTD_SFTP_GET, "/dir", 3));
	assert_file("to/file", "data", 0640);
	assert_int_equal(ntd_tree_remove(at("to"), NULL), 0);
	assert_get_fails(no_attributes_ever, NTD_E_PROTOCOL, "no mode of /dir");
}

/* Renames to new names only, and has a file at the target at first. */
static bool poor_rename(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			struct ntd_sftp_reader *request)
{
	if (type == NTD_SFTP_REMOVE)
		server->turn++;
	assert_true(type != NTD_SFTP_EXTENDED);
	return type == NTD_SFTP_RENAME && server->turn == 0 &&
	       say_status(server, id, NTD_SFTP_FAILURE, "Failure");
}

static void a_file_is_replaced_without_extensions(void **state)
{
	struct scripted server = {.answer = poor_rename};

	begin_scripted(&server, NTD_SFTP_PUT, at("outside"), "/guest/new");
	assert_no_error(server.error);
	assert_int_equal(server.turn, 1);
	end_scripted(&server);
}

static bool tiny_limits(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			struct ntd_sftp_reader *request)
{
	size_t begun;

	if (type != NTD_SFTP_EXTENDED)
		return false;
	begun = begin_answer(server, NTD_SFTP_EXTENDED_REPLY, id);
	for (unsigned i = 0; i < server->turn; i++)
		ntd_sftp_put_u64(&server->answers, i % 2 ? UINT64_MAX : 0);
	end_answer(server, begun);
	return true;
}

/* Limits that cannot be are not used, and do not stop the copy. */
static void limits_are_checked(void **state)
{
	for (unsigned count = 0; count < 6; count++) {
		struct scripted server = {
			.answer = tiny_limits, .extension = "limits@openssh.com", .turn = count};

		begin_scripted(&server, NTD_SFTP_GET, "/dir", at("to"));
		assert_no_error(server.error);
		end_scripted(&server);
		assert_file("to/file", "data", 0640);
		assert_int_equal(ntd_tree_remove(at("to"), NULL), 0);
	}
}

/* Counts the pieces of a file, of which each may have 100 KiB. */
static bool roomy_limits(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			 struct ntd_sftp_reader *request)
{
	static const uint64_t limits[] = {256 << 10, 32 << 10, 100 << 10, 0};
	size_t begun;

	server->turn += type == NTD_SFTP_WRITE;
	if (type != NTD_SFTP_EXTENDED)
		return false;
	begun = begin_answer(server, NTD_SFTP_EXTENDED_REPLY, id);
	for (size_t i = 0; i < unit_count(limits); i++)
		ntd_sftp_put_u64(&server->answers, limits[i]);
	end_answer(server, begun);
	return true;
}

static void pieces_are_as_large_as_the_server_takes_them(void **state)
{
	static const struct {
		const char *extension;
		unsigned pieces;
	} cases[] = {{"limits@openssh.com", 3}, {NULL, 10}};

	char *text = ntd_calloc(1, (300 << 10) + 1);

	memset(text, 'x', 300 << 10);
	write_file("large", text, 0644);
	free(text);
	for (size_t i = 0; i < unit_count(cases); i++) {
		struct scripted server = {.answer = roomy_limits, .extension = cases[i].extension};

		begin_scripted(&server, NTD_SFTP_PUT, at("large"), "/guest/new");
		assert_no_error(server.error);
		assert_int_equal(server.turn, cases[i].pieces);
		end_scripted(&server);
	}
}

/* ---- space */

/* Fails to write; when it is asked for space, there are as many blocks of 4096 bytes as `turn`
 * says, or, if that is odd, no sensible answer. */
static bool no_room(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		    struct ntd_sftp_reader *request)
{
	size_t begun;

	if (type == NTD_SFTP_WRITE)
		return say_status(server, id, NTD_SFTP_FAILURE, "Failure");
	if (type != NTD_SFTP_EXTENDED)
		return false;
	begun = begin_answer(server, NTD_SFTP_EXTENDED_REPLY, id);
	for (int i = 0; i < (server->turn % 2 ? 3 : 11); i++)
		ntd_sftp_put_u64(&server->answers, i < 2 ? 4096 : server->turn);
	end_answer(server, begun);
	return true;
}

static void a_lack_of_space_is_told(void **state)
{
	static const struct {
		unsigned turn;
		const char *end;
	} cases[] = {{0, "new in the guest: Failure: no space is left"},
		     {1, "new in the guest: Failure"},
		     {1000, "new in the guest: Failure"}};

	for (size_t i = 0; i < unit_count(cases); i++) {
		struct scripted server = {.answer = no_room,
					  .extension = "statvfs@openssh.com",
					  .is_version_2 = true,
					  .turn = cases[i].turn};

		begin_scripted(&server, NTD_SFTP_PUT, at("outside"), "/guest/new");
		assert_non_null(server.error);
		assert_true(ntd_has_suffix(server.error->message, cases[i].end));
		assert_error(server.error, NTD_E_MACHINE, "cannot write");
		end_scripted(&server);
	}
}

/* ---- silence */

static bool silent_at_data(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			   struct ntd_sftp_reader *request)
{
	server->quiet = type == NTD_SFTP_READ || type == NTD_SFTP_WRITE;
	return server->quiet;
}

static void the_end_of_the_wire_ends_a_copy(void **state)
{
	struct scripted server = {.answer = silent_at_data};
	struct ntd_error *why = ntd_error_new(NTD_E_DEAD, "the machine has died");

	begin_scripted(&server, NTD_SFTP_GET, "/dir", at("to"));
	assert_false(server.done);
	ntd_sftp_ended(server.sftp, NULL);
	assert_error(server.error, NTD_E_MACHINE, "the SFTP server has ended before its time");
	assert_nothing_made();
	end_scripted(&server);
	server = (struct scripted){.answer = silent_at_data};
	begin_scripted(&server, NTD_SFTP_PUT, at("outside"), "/guest/new");
	ntd_sftp_ended(server.sftp, why);
	ntd_error_free(why);
	assert_error(server.error, NTD_E_DEAD, "/guest/new: the machine has died");
	end_scripted(&server);
}

static void a_copy_that_waits_can_be_freed(void **state)
{
	struct scripted server = {.answer = silent_at_data};

	begin_scripted(&server, NTD_SFTP_GET, "/dir", at("to"));
	end_scripted(&server);
	assert_nothing_made();
	server = (struct scripted){.answer = silent_at_data};
	begin_scripted(&server, NTD_SFTP_PUT, at("outside"), "/guest/new");
	ntd_sftp_cancel(server.sftp);
	assert_false(server.done); /* waits for the answers */
	end_scripted(&server);
	end_scripted(&(struct scripted){.sftp = NULL});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up_outside, tear_down)
		each(servers_are_asked_what_a_name_is),
		each(a_file_is_replaced_without_extensions),
		each(limits_are_checked),
		each(pieces_are_as_large_as_the_server_takes_them),
		each(a_lack_of_space_is_told),
		each(the_end_of_the_wire_ends_a_copy),
		each(a_copy_that_waits_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
