/* Tests of links in a tree of the server, with OpenSSH's server, that of the agent, and bad ones.
 */
#include "sftp_fixture.h"
#include "sftp_scripted.h"

static void make_linked_tree(void)
{
	shell("mkdir -p tree/sub/deep apart/inner; echo in > tree/file; echo out > apart/file;"
	      "ln -s file tree/same; ln -s same tree/chain; ln -s ../file tree/sub/up; ln -s . tree/itself;"
	      "ln -s .. tree/sub/deep/above; ln -s \"$PWD/tree/file\" tree/sub/deep/absolute;"
	      "ln -s ../apart tree/apart; ln -s ../tree apart/back; ln -s .. apart/inner/again;"
	      "ln -s file apart/own; ln -s ../apart/file tree/outside; ln -s tree link;"
	      "ln -s nowhere tree/dangling; ln -s circle tree/circle; ln -s /dev/null tree/null");
}

static void assert_linked_tree(const struct copying *copying)
{
	assert_no_error(copying->error);
	shell("test \"$(cd to; find . -type l -printf '%P %l\\n' | LC_ALL=C sort | tr '\\n' ,)\" = '"
	      "apart/back ..,apart/inner/again ..,apart/own file,chain file,itself .,same file,"
	      "sub/deep/above ..,sub/deep/absolute ../../file,sub/up ../file,'");
	assert_file("to/outside", "out\n", 0644);
	assert_file("to/apart/file", "out\n", 0644);
	assert_int_equal(copying->progress.files, 3 + 9);
}

static void copy_linked_tree(bool agent)
{
	struct copying copying = a_copy(NTD_SFTP_GET, at("link"), at("to"));
	_cleanup_free_ char *without = NULL;

	umask(022);
	make_linked_tree();
	copying.follow = true;
	copying.agent = agent;
	run(&copying);
	assert_linked_tree(&copying);
	without = ntd_buf_take_string(&copying.without);
	assert_non_null(strstr(without, "/link/dangling\n"));
	assert_non_null(strstr(without, "/link/circle\n"));
	assert_non_null(strstr(without, "/link/null\n"));
	assert_null(strstr(without, "same"));
}

static void links_are_what_the_host_can_follow(void **state)
{
	if (access(SERVER, X_OK) < 0)
		skip();
	copy_linked_tree(false);
}

static void also_with_the_agent(void **state)
{
	copy_linked_tree(true);
}

/* More than the agent could keep open if they were opened when they are found. */
static void many_links_lead_to_directories(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_GET, at("tree"), at("to"));

	shell("mkdir tree apart far; echo far > far/file;"
	      "for i in $(seq 34); do ln -s ../apart tree/$i; ln -s ../far apart/$i; done");
	copying.follow = copying.agent = true;
	run(&copying);
	assert_no_error(copying.error);
	shell("test $(find to -type f | wc -l) = $((34 * 34))");
}

static void the_agent_can_go_as_deep_as_a_copy(void **state)
{
	struct copying copying = a_copy(NTD_SFTP_GET, at("tree"), at("to"));

	shell("mkdir -p tree$(for i in $(seq 128); do printf /d; done)");
	copying.agent = true;
	run(&copying);
	assert_no_error(copying.error);
	shell("diff -r tree to");
}

/* ---- bad servers: /dir has a link "x", which leads to a file, as they say, at this path */

static const char *said_path;
static size_t said_len;

static bool a_link(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		   struct ntd_sftp_reader *request)
{
	struct ntd_sftp_string path = ntd_sftp_get_string(request);

	if (type == NTD_SFTP_STAT && path.len > 4)
		return say_attrs(server, id, S_IFREG | 0640, 4);
	if (type == NTD_SFTP_REALPATH)
		return path.len > 4 ? say_name(server, id, said_path, said_len, 0, 0)
				    : say_name(server, id, "/dir", 4, 0, 0);
	if (type == NTD_SFTP_READDIR && !server->listings++)
		return say_name(server, id, "x", 1, S_IFLNK | 0777, 4);
	if (type == NTD_SFTP_READDIR)
		return say_status(server, id, NTD_SFTP_EOF, "");
	if (type == NTD_SFTP_READ) {
		uint64_t offset = ntd_sftp_get_u64(request);

		return offset ? say_status(server, id, NTD_SFTP_EOF, "")
			      : say_bytes(server, NTD_SFTP_DATA, id, "data", 4);
	}
	return false;
}

static struct ntd_error *copy_link(const char *path, size_t len)
{
	struct scripted server = {.answer = a_link, .follow = true};

	said_path = path;
	said_len = len;
	begin_scripted(&server, NTD_SFTP_GET, "/dir", at("to"));
	end_scripted(&server);
	return server.error;
}

static void paths_that_cannot_be_are_refused(void **state)
{
	static const char *const paths[] = {"",        "relative", "./x", "/dir/../x", "/dir/./x",
					    "/dir//x", "/dir/x/",  "//",  "/dir/..",   "../dir/x"};

	for (size_t i = 0; i < unit_count(paths); i++)
		assert_error(copy_link(paths[i], strlen(paths[i])), NTD_E_PROTOCOL,
			     "what cannot be the path of /dir/x");
	assert_error(copy_link("/dir/\0x", 7), NTD_E_PROTOCOL, "what cannot be the path of");
	assert_nothing_made();
}

static void assert_link(const char *path, const char *expected)
{
	char text[64];
	ssize_t len;

	assert_no_error(copy_link(path, strlen(path)));
	len = readlink(at("to/x"), text, sizeof text - 1);
	assert_true(len > 0);
	text[len] = 0;
	assert_string_equal(text, expected);
	shell("rm -r to");
}

static void links_lead_into_the_copy_only(void **state)
{
	assert_link("/dir", ".");
	assert_link("/dir/x", "x");
	assert_link("/dir/a/b", "a/b");
	assert_no_error(copy_link("/directory/x", 12));
	assert_file("to/x", "data", 0640);
	shell("rm -r to");
	assert_no_error(copy_link("/", 1));
	assert_file("to/x", "data", 0640);
}

static bool wrong_kind(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		       struct ntd_sftp_reader *request)
{
	struct ntd_sftp_reader copy = *request;

	if (type == NTD_SFTP_STAT && ntd_sftp_get_string(&copy).len > 4)
		return say_bytes(server, NTD_SFTP_DATA, id, "x", 1);
	return a_link(server, type, id, request);
}

static bool no_path(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
		    struct ntd_sftp_reader *request)
{
	if (type == NTD_SFTP_REALPATH)
		return say_status(server, id, NTD_SFTP_FAILURE, "no");
	return a_link(server, type, id, request);
}

/* The copy of such a link would lead to whatever the server says. */
static bool a_link_to_the_end(struct scripted *server, enum ntd_sftp_type type, uint32_t id,
			      struct ntd_sftp_reader *request)
{
	return type == NTD_SFTP_STAT && say_attrs(server, id, S_IFLNK | 0777, 4);
}

static void answers_about_links_are_checked(void **state)
{
	static const struct {
		answer_fn *answer;
		enum ntd_errc code;
		const char *text;
	} cases[] = {{wrong_kind, NTD_E_PROTOCOL, "no answer about /dir/x"},
		     {no_path, NTD_E_MACHINE, "cannot read /dir in the guest"},
		     {a_link_to_the_end, NTD_E_PROTOCOL, "a link where /dir leads"}};

	for (size_t i = 0; i < unit_count(cases); i++) {
		struct scripted server = {.answer = cases[i].answer, .follow = true};

		begin_scripted(&server, NTD_SFTP_GET, "/dir", at("to"));
		end_scripted(&server);
		assert_error(server.error, cases[i].code, cases[i].text);
		assert_nothing_made();
	}
}

#define each(test) cmocka_unit_test_setup_teardown(test, set_up_outside, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_are_what_the_host_can_follow, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(also_with_the_agent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_links_lead_to_directories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_agent_can_go_as_deep_as_a_copy, set_up,
						tear_down),
		each(paths_that_cannot_be_are_refused),
		each(links_lead_into_the_copy_only),
		each(answers_about_links_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
