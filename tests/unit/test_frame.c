/* Tests of frames and of the values in payloads, agent/frame. */
#include "unit.h"

#include "agent/frame.h"

static struct ntd_frame data(const char *bytes, size_t len)
{
	return (struct ntd_frame){.stream = 7, .kind = NTD_FRAME_DATA, .bytes = bytes, .len = len};
}

static void append(struct ntd_buf *out, const char *text)
{
	const struct ntd_frame frame = data(text, strlen(text));

	ntd_frame_append(out, &frame);
}

static void test_layout(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};

	append(&out, "abc");
	assert_int_equal(out.len, NTD_FRAME_HEADER + 3);
	assert_memory_equal(ntd_buf_bytes(&out), "\3\0\0\0\7\0\0\0\x10\0\0\0", 12);
	assert_memory_equal(ntd_buf_bytes(&out) + NTD_FRAME_HEADER, "abc", 3);
}

static void test_round_trip(void **state)
{
	const char *texts[] = {"", "a", "abcd", "hello\n"};
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame;

	for (size_t i = 0; i < unit_count(texts); i++)
		append(&out, texts[i]);
	for (size_t i = 0; i < unit_count(texts); i++) {
		assert_int_equal(ntd_frame_take(&out, &frame), NTD_FRAME_WHOLE);
		assert_int_equal(frame.stream, 7);
		assert_int_equal(frame.kind, NTD_FRAME_DATA);
		assert_int_equal(frame.len, strlen(texts[i]));
		assert_memory_equal(frame.bytes, texts[i], frame.len);
		ntd_buf_consume(&out, NTD_FRAME_HEADER + frame.len);
	}
	assert_int_equal(out.len, 0);
}

static void test_longest(void **state)
{
	_cleanup_free_ char *bytes = ntd_malloc(NTD_FRAME_MOST);
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame;

	memset(bytes, 0xff, NTD_FRAME_MOST);
	frame = data(bytes, NTD_FRAME_MOST);
	ntd_frame_append(&out, &frame);
	assert_int_equal(ntd_frame_take(&out, &frame), NTD_FRAME_WHOLE);
	assert_int_equal(frame.len, NTD_FRAME_MOST);
}

static void test_partial(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0}, in = {0};
	struct ntd_frame frame;

	append(&out, "hello");
	for (size_t i = 0; i < out.len; i++) {
		assert_int_equal(ntd_frame_take(&in, &frame), NTD_FRAME_PARTIAL);
		ntd_buf_append(&in, ntd_buf_bytes(&out) + i, 1);
	}
	assert_int_equal(ntd_frame_take(&in, &frame), NTD_FRAME_WHOLE);
}

/* Any bit that is wrong is noticed, or makes a frame that is longer. */
static void test_wrong_bit(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame;

	append(&out, "some bytes");
	for (size_t i = 0; i < out.len * 8; i++) {
		ntd_buf_bytes(&out)[i / 8] ^= (char)(1 << i % 8);
		assert_int_not_equal(ntd_frame_take(&out, &frame), NTD_FRAME_WHOLE);
		ntd_buf_bytes(&out)[i / 8] ^= (char)(1 << i % 8);
	}
}

static void test_swapped_words(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame;

	append(&out, "word one");
	memcpy(ntd_buf_bytes(&out) + NTD_FRAME_HEADER, " oneword", 8);
	assert_int_equal(ntd_frame_take(&out, &frame), NTD_FRAME_BROKEN);
}

static void assert_broken_header(size_t at, uint8_t byte)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_frame frame;

	append(&out, "");
	ntd_buf_bytes(&out)[at] = (char)byte;
	assert_int_equal(ntd_frame_take(&out, &frame), NTD_FRAME_BROKEN);
}

/* Headers that cannot be are noticed before their payloads have come. */
static void test_broken_headers(void **state)
{
	_cleanup_buf_ struct ntd_buf text = {0};
	struct ntd_frame frame;

	assert_broken_header(3, 1); /* too long */
	assert_broken_header(8, 0); /* no kind */
	assert_broken_header(8, 99);
	assert_broken_header(9, 1);
	assert_broken_header(11, 1);
	assert_broken_header(12, 0); /* the checksum is not zero by chance */
	ntd_buf_puts(&text, "root@guest:~# echo\n");
	assert_int_equal(ntd_frame_take(&text, &frame), NTD_FRAME_BROKEN);
}

static void test_zeros(void **state)
{
	_cleanup_buf_ struct ntd_buf in = {0};
	struct ntd_frame frame;

	ntd_buf_append(&in, (char[64]){0}, 64);
	assert_int_equal(ntd_frame_take(&in, &frame), NTD_FRAME_BROKEN);
}

/* ---- payloads */

static void test_values(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	_cleanup_free_ char *text = NULL;
	struct ntd_unpack in;
	const char *bytes;
	size_t len;

	ntd_pack_u8(&out, 200);
	ntd_pack_u32(&out, 4000000000U);
	ntd_pack_u64(&out, UINT64_MAX - 1);
	ntd_pack_bytes(&out, "a\0b", 3);
	ntd_pack_text(&out, "text");
	in = (struct ntd_unpack){.at = ntd_buf_bytes(&out), .left = out.len};
	assert_int_equal(ntd_unpack_u8(&in), 200);
	assert_int_equal(ntd_unpack_u32(&in), 4000000000U);
	assert_true(ntd_unpack_u64(&in) == UINT64_MAX - 1);
	bytes = ntd_unpack_bytes(&in, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(bytes, "a\0b", 3);
	assert_false(ntd_unpack_is_whole(&in));
	text = ntd_unpack_text(&in);
	assert_string_equal(text, "text");
	assert_true(ntd_unpack_is_whole(&in));
}

/* What is cut off is bad, and all that follows is empty. */
static void test_cut(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	size_t len;

	ntd_pack_text(&out, "text");
	for (size_t cut = 0; cut < out.len; cut++) {
		struct ntd_unpack in = {.at = ntd_buf_bytes(&out), .left = cut};

		assert_null(ntd_unpack_text(&in));
		assert_true(in.bad);
		assert_int_equal(ntd_unpack_u8(&in), 0);
		assert_string_equal(ntd_unpack_bytes(&in, &len), "");
		assert_int_equal(len, 0);
		assert_false(ntd_unpack_is_whole(&in));
	}
}

static void test_text_with_nul(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_unpack in;

	ntd_pack_bytes(&out, "a\0b", 3);
	in = (struct ntd_unpack){.at = ntd_buf_bytes(&out), .left = out.len};
	assert_null(ntd_unpack_text(&in));
	assert_true(in.bad);
}

static void test_hello(void **state)
{
	_cleanup_buf_ struct ntd_buf out = {0};
	struct ntd_agent_hello hello = {.version = 3, .pid = 99}, heard = {0};

	ntd_agent_hello_pack(&out, &hello);
	assert_true(ntd_agent_hello_unpack(ntd_buf_bytes(&out), out.len, &heard));
	assert_int_equal(heard.version, 3);
	assert_int_equal(heard.pid, 99);
	assert_false(ntd_agent_hello_unpack(ntd_buf_bytes(&out), out.len - 1, &heard));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),         cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_longest),        cmocka_unit_test(test_partial),
		cmocka_unit_test(test_wrong_bit),      cmocka_unit_test(test_swapped_words),
		cmocka_unit_test(test_broken_headers), cmocka_unit_test(test_zeros),
		cmocka_unit_test(test_values),         cmocka_unit_test(test_cut),
		cmocka_unit_test(test_text_with_nul),  cmocka_unit_test(test_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
