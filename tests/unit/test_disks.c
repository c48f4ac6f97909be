/* Tests of what QEMU tells of its disks, and of what stands in the way of a snapshot. */
#include "unit.h"

#include "base/mem.h"
#include "qemu/disks.h"

static bool read_text(const char *text, struct ntd_disks *disks)
{
	_cleanup_cjson_ cJSON *reply = cJSON_Parse(text);

	return ntd_disks_read(reply, disks);
}

static void writable_media_are_disks(void **state)
{
	_cleanup_disks_ struct ntd_disks disks = {0};

	assert_true(read_text(
		"{\"return\": [{\"device\": \"drive1\", \"inserted\": {\"ro\": false, \"drv\": "
		"\"qcow2\", \"node-name\": \"#block1\", \"file\": \"/a\", "
		"\"image\": {\"virtual-size\": 1073741824}}},"
		" {\"device\": \"cd\", \"inserted\": {\"ro\": true, \"drv\": \"raw\"}},"
		" {\"device\": \"empty\"}, {\"device\": \"\", \"qdev\": \"/machine/x\", "
		"\"inserted\": {\"drv\": \"raw\", \"node-name\": \"n\"}}]}",
		&disks));
	assert_int_equal(disks.count, 2);
	assert_string_equal(disks.items[0].device, "drive1");
	assert_string_equal(disks.items[0].node, "#block1");
	assert_string_equal(disks.items[0].format, "qcow2");
	assert_string_equal(disks.items[0].file, "/a");
	assert_true(disks.items[0].size == 1 << 30);
	assert_string_equal(disks.items[1].device, "/machine/x");
	assert_string_equal(disks.items[1].file, "");
	assert_true(disks.items[1].size == 0);
}

static void hostile_replies(void **state)
{
	static const char *const none[] = {"{}", "5", "{\"return\": {}}", "{\"return\": null}", ""};
	static const char *const odd[] = {
		"{\"return\": [5, null, [], \"x\", {\"inserted\": 7}]}",
		"{\"return\": [{\"inserted\": []}]}",
	};
	_cleanup_disks_ struct ntd_disks disks = {0};

	for (size_t i = 0; i < unit_count(none); i++)
		assert_false(read_text(none[i], &disks));
	for (size_t i = 0; i < unit_count(odd); i++)
		assert_true(read_text(odd[i], &disks));
	assert_int_equal(disks.count, 0);
	assert_true(read_text("{\"return\": [{\"device\": 5, \"qdev\": [], \"inserted\": {\"drv\": "
			      "{}, \"node-name\": 1, \"file\": null, \"ro\": \"yes\"}}]}",
			      &disks));
	assert_int_equal(disks.count, 1);
	assert_string_equal(disks.items[0].device, "");
	assert_string_equal(disks.items[0].node, "");
}

static void too_many_disks(void **state)
{
	_cleanup_disks_ struct ntd_disks disks = {0};
	_cleanup_cjson_ cJSON *reply = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(reply, "return");

	for (int i = 0; i < 1000; i++)
		cJSON_AddItemToArray(list, cJSON_Parse("{\"inserted\": {\"drv\": \"qcow2\"}}"));
	assert_false(ntd_disks_read(reply, &disks));
	assert_true(disks.count < 1000);
}

static void assert_obstacle(const char *format, const char *expected)
{
	struct ntd_disk disk = {.node = (char *)"n",
				.device = (char *)"data\xff",
				.format = (char *)format,
				.file = (char *)"/x/data.img"};
	_cleanup_free_ char *text = ntd_disk_obstacle(&disk);

	if (!expected) {
		assert_null(text);
		return;
	}
	assert_non_null(text);
	if (!strstr(text, expected))
		assert_string_equal(text, expected);
}

static void obstacles_of_disks(void **state)
{
	assert_obstacle("qcow2", NULL);
	assert_obstacle("raw", "format raw, which holds no snapshots: convert it to qcow2");
	assert_obstacle("vvfat", "directory of the host (vvfat)");
	assert_obstacle("qcow", "format qcow,");
	assert_obstacle("", "of the format ,");
}

static void advice(void **state)
{
	static const struct {
		const char *reason, *expected;
	} cases[] = {
		{"Migration is disabled when VirtFS export path '/a' is mounted",
		 "unmount the share"},
		{"migration disabled: virtfs", "unmount the share"},
		{"vhost-user backend lacks a feature", "leave the device out"},
		{"x\xfey", "QEMU: x"},
	};

	for (size_t i = 0; i < unit_count(cases); i++) {
		_cleanup_free_ char *text = ntd_obstacle_advice(cases[i].reason);

		assert_non_null(strstr(text, cases[i].expected));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writable_media_are_disks),
		cmocka_unit_test(hostile_replies),
		cmocka_unit_test(too_many_disks),
		cmocka_unit_test(obstacles_of_disks),
		cmocka_unit_test(advice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
