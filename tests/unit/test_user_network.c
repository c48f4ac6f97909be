/* Tests of the table of QEMU's user network. */
#include "unit.h"

#include "qemu/user_network.h"

#include <string.h>

static unsigned port_in(const char *table)
{
	return ntd_user_network_port(table, strlen(table), 22);
}

/* As QEMU 7 to 10 print it. */
static const char head[] =
	"Hub -1 (user.0):\r\n"
	"  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n"
	"  TCP[ESTABLISHED]   14       127.0.0.1    22       10.0.2.15    22     0     0\r\n"
	"  UDP[HOST_FORWARD]  12       127.0.0.1 41230       10.0.2.15    22     0     0\r\n";

static unsigned port_after_head(const char *rows)
{
	char table[1024];

	snprintf(table, sizeof table, "%s%s", head, rows);
	return port_in(table);
}

static void the_port_is_found(void **state)
{
	assert_int_equal(
		port_after_head("  TCP[HOST_FORWARD]  13       127.0.0.1 41231       10.0.2.15  "
				"  80     0     0\r\n"
				"  TCP[HOST_FORWARD]  15       127.0.0.1 41233       10.0.2.15  "
				"  22     0     0\r\n"),
		41233);
	assert_int_equal(
		port_after_head(
			"  TCP[HOST_FORWARD]  13               * 2222       10.0.2.15    22 0 0"),
		2222);
}

static void there_is_no_port(void **state)
{
	assert_int_equal(port_in(""), 0);
	assert_int_equal(port_in("\n\n \r\n"), 0);
	assert_int_equal(port_after_head(""), 0);
	/* A port of another address of the host is not for this host's own use. */
	assert_int_equal(
		port_after_head("  TCP[HOST_FORWARD]  13  192.0.2.1 41231  10.0.2.15 22 0 0\r\n"),
		0);
}

static void rows_that_are_cut_or_wrong_are_no_rows(void **state)
{
	static const char row[] = "TCP[HOST_FORWARD] 13 127.0.0.1 41231 10.0.2.15 22";
	static const char *const wrong[] = {
		"TCP[HOST_FORWARD] 13 127.0.0.1 99999 10.0.2.15 22 0 0",
		"TCP[HOST_FORWARD] 13 127.0.0.1 99999999999999999999 10.0.2.15 22 0 0",
		"TCP[HOST_FORWARD] 13 127.0.0.1 -1 10.0.2.15 22 0 0",
		"TCP[HOST_FORWARD] 13 127.0.0.1 4x 10.0.2.15 22 0 0",
		"TCP[HOST_FORWARD] 13 127.0.0.1 41231 10.0.2.15 220 0 0",
		"TCP[HOST_FORWARD]",
	};

	assert_int_equal(port_in(row), 41231);
	/* Nothing behind the bytes that are given is read: the sanitizers would tell. */
	for (size_t len = 0; len < sizeof row - 1; len++) {
		char *copy = malloc(len ? len : 1);

		memcpy(copy, row, len);
		assert_int_equal(ntd_user_network_port(copy, len, 22), 0);
		free(copy);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(port_in(wrong[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_port_is_found),
		cmocka_unit_test(there_is_no_port),
		cmocka_unit_test(rows_that_are_cut_or_wrong_are_no_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
