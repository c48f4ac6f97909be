/* Tests of the SFTP client with servers that break the protocol, or mean harm to the host. */
#include "sftp_scripted.h"

#include "base/text.h"

/* ---- packets */

static void a_good_server_is_copied_from(void **state)
{
	assert_no_error(copy_by(NULL, NTD_SFTP_GET, "/dir", 0));
	assert_file("to/file", "data", 0640);
	assert_no_error(copy_by(NULL, NTD_SFTP_PUT, at("outside"), 1));
}

static bool other_id(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_OPENDIR && say_bytes(server, NTD_SFTP_HANDLE, id + 64, "handle", 6);
}

static bool id_of_nothing(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			  struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_OPENDIR && say_bytes(server, NTD_SFTP_HANDLE, id + 1, "handle", 6);
}

static bool twice(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		  struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_OPENDIR && say_bytes(server, NTD_SFTP_HANDLE, id, "handle", 6) &&
	       say_bytes(server, NTD_SFTP_HANDLE, id, "handle", 6);
}

static void answers_to_no_request_are_refused(void **state)
{
	assert_get_fails(other_id, NTD_E_PROTOCOL, "an answer to no request");
	assert_get_fails(id_of_nothing, NTD_E_PROTOCOL, "an answer to no request");
	assert_get_fails(twice, NTD_E_PROTOCOL, "an answer to no request");
}

static bool too_long(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	ntd_sftp_put_u32(&server->answers, (256 << 10) + 1025);
	return true;
}

static bool endless(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		    struct ntd_sftp_reader *request)
{
	ntd_sftp_put_u32(&server->answers, UINT32_MAX);
	return true;
}

static bool nothing(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		    struct ntd_sftp_reader *request)
{
	ntd_sftp_put_u32(&server->answers, 0);
	return true;
}

static bool no_packets(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request)
{
	ntd_buf_puts(&server->answers, "Welcome to this machine\n");
	return true;
}

static void packets_of_impossible_lengths_are_refused(void **state)
{
	assert_get_fails(too_long, NTD_E_PROTOCOL, "an impossible length");
	assert_get_fails(endless, NTD_E_PROTOCOL, "an impossible length");
	assert_get_fails(nothing, NTD_E_PROTOCOL, "an impossible length");
	assert_get_fails(no_packets, NTD_E_PROTOCOL, "an impossible length");
}

static bool version_2(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		      struct ntd_sftp_reader *request)
{
	say_version(server, 2);
	return true;
}

static bool no_version(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request)
{
	return say_status(server, id, NTD_SFTP_OK, "");
}

static bool cut_version(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			struct ntd_sftp_reader *request)
{
	size_t begun = begin_answer(server, NTD_SFTP_VERSION, 3);

	ntd_sftp_put_u32(&server->answers, 1000);
	end_answer(server, begun);
	return true;
}

static void other_versions_are_refused(void **state)
{
	assert_get_fails(version_2, NTD_E_PROTOCOL, "version 2 of the protocol, not 3");
	assert_get_fails(no_version, NTD_E_PROTOCOL, "no version");
	assert_get_fails(cut_version, NTD_E_PROTOCOL, "no version");
}

static bool long_handle(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			struct ntd_sftp_reader *request)
{
	char handle[257] = "";

	return type == NTD_SFTP_OPENDIR &&
	       say_bytes(server, NTD_SFTP_HANDLE, id, handle, sizeof handle);
}

static bool other_type(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_OPENDIR && say_attrs(server, id, S_IFDIR | 0755, 0);
}

static bool unknown_type(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			 struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_OPENDIR && say_bytes(server, 77, id, "", 0);
}

static bool all_is_well(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			struct ntd_sftp_reader *request)
{
	return type != NTD_SFTP_INIT && say_status(server, id, NTD_SFTP_OK, "");
}

static bool cut_attrs(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		      struct ntd_sftp_reader *request)
{
	size_t begun;

	if (type == NTD_SFTP_INIT)
		return false;
	begun = begin_answer(server, NTD_SFTP_ATTRS, id);
	ntd_sftp_put_u32(&server->answers, 0x80000000);
	ntd_sftp_put_u32(&server->answers, UINT32_MAX);
	end_answer(server, begun);
	return true;
}

static void answers_that_make_no_sense_are_refused(void **state)
{
	assert_get_fails(long_handle, NTD_E_PROTOCOL, "an answer that cannot be read");
	assert_get_fails(unknown_type, NTD_E_PROTOCOL, "an answer that cannot be read");
	assert_get_fails(cut_attrs, NTD_E_PROTOCOL, "an answer that cannot be read");
	assert_get_fails(other_type, NTD_E_PROTOCOL, "an answer of type 105");
	assert_get_fails(all_is_well, NTD_E_PROTOCOL, "an answer of type 101");
	assert_put_fails(all_is_well, NTD_E_MACHINE,
			 "/guest in the guest: there is something else");
	assert_put_fails(cut_attrs, NTD_E_PROTOCOL, "an answer that cannot be read");
}

/* ---- names */

#define NAMES(function, text)                                                                      \
	static bool function(struct scripted *server, enum ntd_sftp_type type, uint32_t id,        \
			     struct ntd_sftp_reader *request)                                      \
	{                                                                                          \
		return type == NTD_SFTP_READDIR &&                                                 \
		       say_name(server, id, text, sizeof text - 1, S_IFREG | 0644, 4);             \
	}

NAMES(name_above, "../x")
NAMES(name_absolute, "/etc/x")
NAMES(name_below, "a/b")
NAMES(name_empty, "")
NAMES(name_cut, "x\0y")
NAMES(name_again, "x")
NAMES(name_long, "0123456789012345678901234567890123456789012345678901234567890123456789012345"
		 "0123456789012345678901234567890123456789012345678901234567890123456789012345"
		 "0123456789012345678901234567890123456789012345678901234567890123456789012345"
		 "0123456789012345678901234567890123456789012345678901234567890123456789012345")

static void names_are_checked(void **state)
{
	assert_get_fails(name_above, NTD_E_PROTOCOL, "a name in /dir that cannot be: b'../x'");
	assert_get_fails(name_absolute, NTD_E_PROTOCOL, "cannot be: b'/etc/x'");
	assert_get_fails(name_below, NTD_E_PROTOCOL, "cannot be: b'a/b'");
	assert_get_fails(name_empty, NTD_E_PROTOCOL, "cannot be: b''");
	assert_get_fails(name_cut, NTD_E_PROTOCOL, "cannot be: b'x\\x00y'");
	assert_get_fails(name_long, NTD_E_PROTOCOL, "cannot be: b'0123");
	assert_get_fails(name_again, NTD_E_SYS,
			 "cannot make the copy of /dir/x on this host: File exists");
}

static bool no_names(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	if (type != NTD_SFTP_READDIR)
		return false;
	end_answer(server, begin_names(server, id, 0));
	return true;
}

static bool too_many_for_the_packet(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
				    struct ntd_sftp_reader *request)
{
	if (type != NTD_SFTP_READDIR)
		return false;
	end_answer(server, begin_names(server, id, UINT32_MAX));
	return true;
}

static bool cut_names(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		      struct ntd_sftp_reader *request)
{
	struct ntd_sftp_attrs attrs = attrs_of(S_IFREG, 4);
	size_t begun;

	if (type != NTD_SFTP_READDIR)
		return false;
	begun = begin_names(server, id, 3);
	add_name(server, "a", 1, &attrs);
	add_name(server, "b", 1, &attrs);
	end_answer(server, begun);
	return true;
}

/* Names that are in each directory, without an end. */
static bool only_dots(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		      struct ntd_sftp_reader *request)
{
	struct ntd_sftp_attrs attrs = {.flags = 0};
	size_t begun;

	if (type != NTD_SFTP_READDIR)
		return false;
	begun = begin_names(server, id, 10000);
	for (int i = 0; i < 10000; i++)
		add_name(server, i % 2 ? "." : "..", i % 2 ? 1 : 2, &attrs);
	end_answer(server, begun);
	return true;
}

static bool in_itself(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		      struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_READDIR && say_name(server, id, "d", 1, S_IFDIR | 0755, 0);
}

static bool a_device(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_READDIR && say_name(server, id, "sda", 3, S_IFBLK | 0600, 0);
}

static void listings_are_bounded(void **state)
{
	assert_get_fails(no_names, NTD_E_PROTOCOL, "no names and no end of /dir");
	assert_get_fails(too_many_for_the_packet, NTD_E_PROTOCOL, "cannot be read");
	assert_get_fails(cut_names, NTD_E_PROTOCOL, "cut off");
	assert_error(copy_by(only_dots, NTD_SFTP_GET, "/dir", 0), NTD_E_PROTOCOL,
		     "more than 1048576 names of /dir");
	assert_get_fails(in_itself, NTD_E_VALUE, "more than 128 directories deep");
	assert_get_fails(a_device, NTD_E_VALUE, "neither a file nor a directory");
}

/* ---- links */

/* The first listing has a link to a directory outside of the copy, the next a directory, or a file,
 * with the name of the link. */
static bool link_then(struct scripted *server, enum ntd_sftp_type type, uint32_t id, mode_t mode)
{
	if (type == NTD_SFTP_READLINK)
		return say_name(server, id, at("outside"), strlen(at("outside")), 0, 0);
	if (type != NTD_SFTP_READDIR)
		return false;
	return say_name(server, id, "x", 1, server->turn++ ? mode : S_IFLNK | 0777, 4);
}

static bool link_then_file(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			   struct ntd_sftp_reader *request)
{
	return link_then(server, type, id, S_IFREG | 0666);
}

static bool link_then_directory(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
				struct ntd_sftp_reader *request)
{
	return link_then(server, type, id, S_IFDIR | 0777);
}

static bool empty_link(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request)
{
	if (type == NTD_SFTP_READLINK)
		return say_name(server, id, "", 0, 0, 0);
	return type == NTD_SFTP_READDIR && say_name(server, id, "x", 1, S_IFLNK | 0777, 4);
}

static bool cut_link(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	if (type == NTD_SFTP_READLINK)
		return say_name(server, id, "a\0b", 3, 0, 0);
	return type == NTD_SFTP_READDIR && say_name(server, id, "x", 1, S_IFLNK | 0777, 4);
}

static void nothing_is_written_through_links(void **state)
{
	assert_get_fails(link_then_file, NTD_E_SYS, "/dir/x on this host: File exists");
	assert_get_fails(link_then_directory, NTD_E_SYS, "/dir/x on this host: File exists");
	assert_file("outside", "precious", 0644);
	assert_get_fails(empty_link, NTD_E_PROTOCOL, "what cannot be in the link /dir/x");
	assert_get_fails(cut_link, NTD_E_PROTOCOL, "what cannot be in the link /dir/x");
}

/* ---- data */

static bool more_than_asked(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			    struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_READ && say_bytes(server, NTD_SFTP_DATA, id, "12345", 5);
}

static bool no_data(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		    struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_READ && say_bytes(server, NTD_SFTP_DATA, id, "", 0);
}

static bool one_byte(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		     struct ntd_sftp_reader *request)
{
	if (type != NTD_SFTP_READ)
		return false;
	ntd_sftp_get_string(request);
	return say_bytes(server, NTD_SFTP_DATA, id, "data" + ntd_sftp_get_u64(request), 1);
}

/* Says that it is longer than a file can be, and ends after 4 bytes. */
static bool huge(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		 struct ntd_sftp_reader *request)
{
	if (type != NTD_SFTP_READDIR || server->listings++)
		return false;
	return say_name(server, id, "file", 4, S_IFREG | 0640, UINT64_MAX);
}

/* A file without a size that has no end. */
static bool no_end(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		   struct ntd_sftp_reader *request)
{
	static const char zeros[32 << 10];

	if (type == NTD_SFTP_READ)
		return say_bytes(server, NTD_SFTP_DATA, id, zeros, sizeof zeros);
	return type == NTD_SFTP_READDIR && !server->listings++ &&
	       say_name(server, id, "file", 4, S_IFREG | 0640, 0);
}

static void data_is_checked(void **state)
{
	assert_get_fails(more_than_asked, NTD_E_PROTOCOL,
			 "5 bytes of /dir/file where it was asked for 4");
	assert_get_fails(no_data, NTD_E_PROTOCOL, "0 bytes of /dir/file");
	assert_error(copy_by(no_end, NTD_SFTP_GET, "/dir", 0), NTD_E_MACHINE, "it has no end");
	assert_nothing_made();
}

static void short_reads_are_completed(void **state)
{
	assert_no_error(copy_by(one_byte, NTD_SFTP_GET, "/dir", 0));
	assert_file("to/file", "data", 0640);
}

static void a_file_ends_where_its_data_ends(void **state)
{
	assert_no_error(copy_by(huge, NTD_SFTP_GET, "/dir", 0));
	assert_file("to/file", "data", 0640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define each(test) cmocka_unit_test_setup_teardown(test, set_up_outside, tear_down)
		each(a_good_server_is_copied_from),
		each(answers_to_no_request_are_refused),
		each(packets_of_impossible_lengths_are_refused),
		each(other_versions_are_refused),
		each(answers_that_make_no_sense_are_refused),
		each(names_are_checked),
		each(listings_are_bounded),
		each(nothing_is_written_through_links),
		each(data_is_checked),
		each(short_reads_are_completed),
		each(a_file_ends_where_its_data_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
