/* Tests of the parser of requests on a VLAN's control socket, in libvdeplug's format. */
#include "unit.h"

#include "net/vde.h"

#include "test_net_client.h"

/* A request of libvdeplug with one field changed, of which `len` bytes have arrived. */
struct request_case {
	const char *name;
	size_t at, size; /* the changed field; size 0: none */
	uint32_t value;
	size_t len; /* 0: all */
	int expected;
	const char *message;
};

static const char description[] = "QEMU user=root pid=1234";

enum { COMPLETE = 12 + 110, WHOLE = COMPLETE + sizeof description - 1 };

static const struct request_case cases[] = {
	{.name = "whole", .expected = 1},
	{.name = "without description", .len = COMPLETE, .expected = 1},
	{.name = "port 7 asked for", .at = 8, .size = 4, .value = 7 << 8, .expected = 1},
	{.name = "port 0 asked for", .at = 8, .size = 4, .value = 1, .expected = 1},
	{.name = "one byte", .len = 1, .expected = 0},
	{.name = "magic only", .len = 4, .expected = 0},
	{.name = "all but one byte", .len = COMPLETE - 1, .expected = 0},
	{.name = "wrong magic",
	 .at = 0,
	 .size = 4,
	 .value = 0xcefaedfe,
	 .len = 4,
	 .expected = -1,
	 .message = "not a VDE request (magic 0xcefaedfe)"},
	{.name = "version 1",
	 .at = 4,
	 .size = 4,
	 .value = 1,
	 .len = 8,
	 .expected = -1,
	 .message = "VDE protocol version 1 (only 3 is served)"},
	{.name = "unknown type",
	 .at = 8,
	 .size = 4,
	 .value = 0x702,
	 .len = 12,
	 .expected = -1,
	 .message = "unknown VDE request type 0x702"},
	{.name = "IPv4",
	 .at = 12,
	 .size = 2,
	 .value = AF_INET,
	 .len = 14,
	 .expected = -1,
	 .message = "data socket of address family 2, not AF_UNIX"},
	{.name = "abstract or unnamed",
	 .at = 14,
	 .size = 1,
	 .value = 0,
	 .expected = -1,
	 .message = "data socket without a path"},
};

static void check(const struct request_case *c)
{
	struct ntd_vde_request request = {0};
	struct ntd_error *error = NULL;
	struct vde_request bytes;
	size_t whole = make_request(&bytes, "/run/vde1.ctl/.1234-00000", description);
	int result;

	assert_int_equal(whole, WHOLE);
	memcpy((char *)&bytes + c->at, &c->value, c->size);
	result = ntd_vde_parse_request(&bytes, c->len ? c->len : whole, &request, &error);
	if (result != c->expected)
		fail_msg("%s: %d", c->name, result);
	if (c->expected < 0) {
		assert_error(error, NTD_E_PROTOCOL, c->message);
		return;
	}
	assert_no_error(error);
	if (c->expected == 0)
		return;
	assert_string_equal(request.path, "/run/vde1.ctl/.1234-00000");
	assert_string_equal(request.description, c->len == COMPLETE ? "" : description);
}

static void parses_requests(void **state)
{
	for (size_t i = 0; i < unit_count(cases); i++)
		check(&cases[i]);
}

static void limits_the_path(void **state)
{
	struct ntd_vde_request request;
	struct vde_request bytes;
	char path[200];

	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	make_request(&bytes, path, "");
	assert_fails(ntd_vde_parse_request(&bytes, COMPLETE, &request, &err), NTD_E_PROTOCOL,
		     "data socket path of 108 bytes or more");
	bytes.data.sun_path[107] = '\0';
	assert_int_equal(ntd_vde_parse_request(&bytes, COMPLETE, &request, NULL), 1);
	assert_int_equal(strlen(request.path), 107);
}

static void makes_descriptions_printable(void **state)
{
	struct ntd_vde_request request;
	struct vde_request bytes;
	const char *text = request.description;

	make_request(&bytes, "/d/.1-0", "a\033[31m\n\xff z");
	assert_int_equal(ntd_vde_parse_request(&bytes, COMPLETE + 10, &request, NULL), 1);
	assert_string_equal(text, "a?[31m?? z");
	memset(bytes.description, 'y', sizeof bytes.description);
	assert_int_equal(ntd_vde_parse_request(&bytes, sizeof bytes, &request, NULL), 1);
	assert_int_equal(strlen(text), 128);
}

static void makes_addresses(void **state)
{
	struct sockaddr_un address;
	char directory[109] = "/";

	assert_int_equal(ntd_vde_address(&address, "/run/vde1.ctl", "001", NULL), 0);
	assert_int_equal(address.sun_family, AF_UNIX);
	assert_string_equal(address.sun_path, "/run/vde1.ctl/001");

	memset(directory + 1, 'd', 102);
	assert_int_equal(ntd_vde_address(&address, directory, "001", NULL), 0);
	assert_int_equal(strlen(address.sun_path), 107);
	assert_fails(ntd_vde_address(&address, directory, "0001", &err), NTD_E_VALUE,
		     "has 108 bytes; 107 are possible");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_requests),
		cmocka_unit_test(limits_the_path),
		cmocka_unit_test(makes_descriptions_printable),
		cmocka_unit_test(makes_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
