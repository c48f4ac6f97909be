/* Tests of the parser of the root shell's bytes. Each case is fed in pieces of several sizes, down
 * to single bytes, and must give the same events each time.
 */
#include "unit.h"

#include "channel/reply.h"

#define TOKEN "5eed1234-7"
#define BANNER "Spawning backdoor root shell...\n"

static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 13, 64, 4096, SIZE_MAX};

static void write_output(struct ntd_buf *transcript, const struct ntd_buf *output)
{
	const char *bytes = ntd_buf_bytes(output);

	for (size_t i = 0; i < output->len; i++)
		ntd_buf_printf(transcript, bytes[i] < ' ' || bytes[i] > '~' ? "\\x%02x" : "%c",
			       (unsigned char)bytes[i]);
}

/* Appends an event to the transcript. After a piece, sets `piece_len` to 0, as the shell does. */
static void write_event(struct ntd_buf *transcript, struct ntd_reply *reply,
			enum ntd_reply_event event)
{
	switch (event) {
	case NTD_REPLY_BANNER:
		ntd_buf_puts(transcript, "banner;");
		break;
	case NTD_REPLY_HELD:
		ntd_buf_printf(transcript, "held by <%s>;", reply->held);
		break;
	case NTD_REPLY_COMPLETE:
		ntd_buf_printf(transcript, "%d %d <", reply->command_status, reply->reader_status);
		write_output(transcript, &reply->output);
		ntd_buf_puts(transcript, ">;");
		break;
	case NTD_REPLY_MORE:
		ntd_buf_printf(transcript, "%d %d more;", reply->command_status,
			       reply->reader_status);
		break;
	case NTD_REPLY_PORT:
		ntd_buf_printf(transcript, "%d %d port", reply->command_status,
			       reply->reader_status);
		if (reply->has_sum)
			ntd_buf_printf(transcript, " sum %u", reply->sum);
		if (reply->count != SIZE_MAX)
			ntd_buf_printf(transcript, " of %zu", reply->count);
		ntd_buf_puts(transcript, ";");
		break;
	case NTD_REPLY_PIECE:
		ntd_buf_printf(transcript, "%zu%s <", reply->piece_len,
			       ntd_reply_is_whole(reply) ? "" : " cut");
		write_output(transcript, &reply->output);
		ntd_buf_puts(transcript, ">;");
		reply->piece_len = 0;
		break;
	case NTD_REPLY_GARBLED:
		ntd_buf_puts(transcript, "garbled;");
		break;
	case NTD_REPLY_TOO_LONG:
		ntd_buf_puts(transcript, "too long;");
		break;
	case NTD_REPLY_NONE:
	default:
		break;
	}
}

/* Feeds `len` bytes in pieces of `size`, each an exact copy on the heap, and writes the events
 * down. */
static void feed(struct ntd_reply *reply, const char *bytes, size_t len, size_t size,
		 struct ntd_buf *transcript)
{
	while (len) {
		size_t step = len < size ? len : size, left = step;
		_cleanup_free_ char *piece = ntd_malloc(step);
		const char *at = piece;

		memcpy(piece, bytes, step);
		while (left)
			write_event(transcript, reply, ntd_reply_feed(reply, &at, &left));
		assert_ptr_equal(at, piece + step);
		bytes += step;
		len -= step;
	}
}

static void assert_understood(const char *bytes, size_t len, const char *events)
{
	for (size_t i = 0; i < unit_count(sizes); i++) {
		struct ntd_reply reply = {.limit = 1 << 20};
		struct ntd_buf transcript = {0};
		_cleanup_free_ char *text = NULL;

		ntd_reply_expect(&reply, TOKEN);
		feed(&reply, bytes, len, sizes[i], &transcript);
		text = ntd_buf_take_string(&transcript);
		ntd_reply_free(&reply);
		if (strcmp(text, events) != 0)
			print_error("in pieces of %zu: %.200s\n", sizes[i], bytes);
		assert_string_equal(text, events);
	}
}

struct story {
	const char *bytes, *events;
};

static void assert_all_understood(const struct story *stories, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_understood(stories[i].bytes, strlen(stories[i].bytes), stories[i].events);
}

/* ---- replies */

static void a_reply_is_decoded(void **state)
{
	static const struct story stories[] = {
		{"'' 0 0 " TOKEN "\n", "0 0 <>;"},
		{"'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"'A B' 1 0 " TOKEN "\n", "1 0 <A B>;"},
		{"\\' 1 0 " TOKEN "\n", "1 0 <'>;"},
		{"'it'\\''s \\n' 1 0 " TOKEN "\n", "1 0 <it's \\n>;"},
		{"$'it\\'s\\n' 124 0 " TOKEN "\n", "124 0 <it's\\x0a>;"},
		{"$'\\a\\b\\t\\n\\v\\f\\r\\E\\\\\\'\\001\\377' 0 0 " TOKEN "\n",
		 "0 0 <\\x07\\x08\\x09\\x0a\\x0b\\x0c\\x0d\\x1b\\'\\x01\\xff>;"},
		/* a guest without the locale C leaves letters as they are */
		{"$'\xc3\xa4\\n' 0 0 " TOKEN "\n", "0 0 <\\xc3\\xa4\\x0a>;"},
		{"' 1 0 " TOKEN "' 0 0 " TOKEN "\n", "0 0 < 1 0 " TOKEN ">;"},
		/* two replies to one command are not mixed */
		{"'A' 0 0 " TOKEN "\n'B' 3 0 " TOKEN "\n", "0 0 <A>;3 0 <B>;"},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void a_reader_that_failed_may_have_cut_the_output(void **state)
{
	static const struct story stories[] = {
		{"'AB' 143 137 " TOKEN "\n", "143 137 <AB>;"},
		{"'' 143 137 " TOKEN " more\nQUJDQ " TOKEN "\n", "143 137 more;5 <ABC>;"},
		{"'' 0 127 " TOKEN "\n", "0 127 <>;"},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void what_is_not_quoted_garbles_a_reply(void **state)
{
	static const char nul[] = "'A'\0 0 0 " TOKEN "\n";
	static const struct story stories[] = {
		{"[ 1.5] oops 'A' 0 0 " TOKEN "\n", "garbled;"},
		{"noise'A' 0 0 " TOKEN "\n", "garbled;"},
		{"'A'noise 0 0 " TOKEN "\n", "garbled;"},
		{"'A' oops 0 0 " TOKEN "\n", "garbled;"},
		{"'A' 0 0 oops" TOKEN "\n", "garbled;"},
		{"'A' 0 -1 " TOKEN "\n", "garbled;"},
		{"'A' 0 " TOKEN "\n", "garbled;"},
		{"'A' " TOKEN "\n", "garbled;"},
		{" 0 0 " TOKEN "\n", "garbled;"},
		{"A 0 0 " TOKEN "\n", "garbled;"},
		{"'A 0 0 " TOKEN "\n", "garbled;"},
		{"'A\n' 0 0 " TOKEN "\n", "garbled;"},
		{"$A 0 0 " TOKEN "\n", "garbled;"},
		{"\\ 0 0 " TOKEN "\n", "garbled;"},
		{"$'A\\' 0 0 " TOKEN "\n", "garbled;"},
		{"$'\\x41' 0 0 " TOKEN "\n", "garbled;"},
		{"$'\\12' 0 0 " TOKEN "\n", "garbled;"},
		{"$'\\400' 0 0 " TOKEN "\n", "garbled;"},
		{"garbage 0 0 " TOKEN "\n'A' 0 0 " TOKEN "\n", "garbled;0 0 <A>;"},
	};

	assert_all_understood(stories, unit_count(stories));
	assert_understood(nul, sizeof nul - 1, "garbled;");
}

static void noise_and_replies_to_others_are_passed_over(void **state)
{
	static const char nul[] = "a\0b 0 0\n\0\n'A' 0 0 " TOKEN "\n";
	static const struct story stories[] = {
		{"", ""},
		{"\n\n\r\n", ""},
		{"[    1.234567] virtio_console: probed\n'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"onlyBase64Characters\n'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"==\nQQ==\nQg== 0 0\n'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"'ABC' 0 0 5eed1234-6\n'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"'ABC' 0 0 5eed1234-77\n'ABC' 0 0 beef1234-7\n'A' 1 0 " TOKEN "\n", "1 0 <A>;"},
		{"'ABC' 0 0 " TOKEN " and more\n", ""},
		{"bash: line 7: " TOKEN ": command not found\n", ""},
		{"\xff\xfe\x1b[2J\x1b[0m\n'A' 0 0 " TOKEN "\n", "0 0 <A>;"},
		{"'ABC' 0 0 " TOKEN, ""}, /* incomplete */
	};

	assert_all_understood(stories, unit_count(stories));
	assert_understood(nul, sizeof nul - 1, "0 0 <A>;");
}

static void an_output_has_gone_by_the_port(void **state)
{
	static const struct story stories[] = {
		{"'4294967295 3' 7 0 " TOKEN " port\n", "7 0 port sum 4294967295 of 3;"},
		{"'20000' 0 0 " TOKEN " port\n", "0 0 port of 20000;"},
		{"'' 137 137 " TOKEN " port\n", "137 137 port;"},
		{"'1 2 3' 0 0 " TOKEN " port\n", "0 0 port;"},
		{"'1 -2' 0 0 " TOKEN " port\n", "0 0 port;"},
		{"'99999999999999999999999999999999999999999999999 2' 0 0 " TOKEN " port\n",
		 "0 0 port;"},
		{"'1 2' 0 0 " TOKEN "port\n", ""},
		{"noise'1 2' 0 0 " TOKEN " port\n", "garbled;"},
		{"'' 0 0 " TOKEN " more\nQUJD " TOKEN " port\n", "0 0 more;garbled;"},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void a_long_output_comes_in_pieces(void **state)
{
	static const struct story stories[] = {
		{"'' 3 0 " TOKEN " more\nQUJD " TOKEN "\nREVG " TOKEN "\n " TOKEN "\n",
		 "3 0 more;4 <ABC>;4 <ABCDEF>;0 <ABCDEF>;"},
		{"'' 0 0 " TOKEN " more\nQUJDR " TOKEN "\nEVGQQ== " TOKEN "\n",
		 "0 0 more;5 cut <ABC>;7 <ABCDEFA>;"},
		{"'' 143 137 " TOKEN " more\nQUJDR " TOKEN "\n", "143 137 more;5 <ABC>;"},
		{"noise\n'' 0 0 " TOKEN " more\nQQ== " TOKEN "\n", "0 0 more;4 <A>;"},
		{TOKEN " held 1 (x)\n'' 124 137 " TOKEN " more\nQQ== " TOKEN "\n",
		 "held by <1 (x)>;124 137 more;4 <A>;"},
		{"'' 0 0 " TOKEN " more\nQUJDRE" BANNER "QQ== " TOKEN "\n",
		 "0 0 more;banner;garbled;"},
		/* pieces without a beginning */
		{"QQ== " TOKEN "\n'A' 0 0 " TOKEN "\n", "garbled;0 0 <A>;"},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void noise_among_pieces_garbles_them(void **state)
{
	static const char nul[] = "'' 0 0 " TOKEN " more\nQUJD \0x" TOKEN "\n";
	static const struct story stories[] = {
		{"'' 0 0 " TOKEN " more\nnoise\n'A' 0 0 " TOKEN "\n", "0 0 more;garbled;0 0 <A>;"},
		{"'' 0 0 " TOKEN " more\nQUJD[ 1.5] " TOKEN "\n", "0 0 more;garbled;"},
		{"'' 0 0 " TOKEN " more\nQUJD  " TOKEN "\n", "0 0 more;garbled;"},
		{"'' 0 0 " TOKEN " more\nQUJD 0 0 " TOKEN "\n", "0 0 more;garbled;"},
		{"'' 0 0 " TOKEN " more\nQUJD " TOKEN " more\n", "0 0 more;garbled;"},
		{"'' 0 0 " TOKEN " more\nQQ== " TOKEN "\nQUJD " TOKEN "\n",
		 "0 0 more;4 <A>;garbled;"},
		{"'ABC' 0 0 " TOKEN " more\n", "garbled;"},
		{"'' 0 " TOKEN " more\n", "garbled;"},
		{"'' 0 0 5eed1234-6 more\n'' 0 0 " TOKEN " moree\n", ""},
	};

	assert_all_understood(stories, unit_count(stories));
	assert_understood(nul, sizeof nul - 1, "0 0 more;garbled;");
}

/* ---- the banner and the notice of the guest's watchdog */

static void the_banner_is_found_after_anything_on_its_line(void **state)
{
	static const struct story stories[] = {
		{BANNER, "banner;"},
		{"Spawning backdoor root shell...\r\n", "banner;"},
		{"BdsDxe: starting Boot0002 \"Linux\"" BANNER, "banner;"},
		{"UEFI" BANNER, "banner;"},
		{"QUJD\x1b[2J\x1b[01;01H" BANNER, "banner;"},
		{"BdsDxe: loading\n\n" BANNER "'A' 0 0 " TOKEN "\n", "banner;0 0 <A>;"},
		{"QUJDRE" BANNER, "banner;"}, /* a reboot has cut the reply */
		{BANNER BANNER, "banner;banner;"},
		{"Spawning backdoor root shell..", ""},
		{"Spawning backdoor root shell\n", ""},
		{"Spawning backdoor root shell...", ""},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void the_notice_is_found_alone_and_glued(void **state)
{
	static const struct story stories[] = {
		{TOKEN " held 12 (sleep)\n", "held by <12 (sleep)>;"},
		{"QUJDRE" TOKEN " held 12 (sleep) 13 (a b)\n", "held by <12 (sleep) 13 (a b)>;"},
		{"noise: " TOKEN " held 1 (x)\n", "held by <1 (x)>;"},
		{"\n" TOKEN " held 1 (x)\n'' 124 137 " TOKEN "\n", "held by <1 (x)>;124 137 <>;"},
		{TOKEN " held 1 (x)\n" TOKEN " held 2 (y)\n", "held by <1 (x)>;held by <2 (y)>;"},
		{TOKEN " held\n", "held by <>;"}, /* no holder of the output was found */
		{"5eed1234-6 held 1 (x)\n5eed1234-17 held 1 (x)\n", ""},
		{TOKEN " helden\n", ""},
	};

	assert_all_understood(stories, unit_count(stories));
}

static void nothing_but_the_banner_counts_without_a_command(void **state)
{
	static const char bytes[] = "'A' 0 0 " TOKEN "\n" TOKEN " held 1 (x)\n'' 0 0 \n" BANNER;
	struct ntd_reply reply = {.limit = 100};
	struct ntd_buf transcript = {0};
	_cleanup_free_ char *text = NULL;

	ntd_reply_expect(&reply, "");
	feed(&reply, bytes, sizeof bytes - 1, 3, &transcript);
	text = ntd_buf_take_string(&transcript);
	assert_string_equal(text, "banner;");
	ntd_reply_free(&reply);
}

/* ---- sizes */

/* Returns `len` bytes of noise, followed by `bytes`. */
static char *after_noise(char noise, size_t len, const char *bytes, size_t *total)
{
	struct ntd_buf text = {0};

	memset(ntd_buf_reserve(&text, len), noise, len);
	ntd_buf_added(&text, len);
	ntd_buf_puts(&text, bytes);
	*total = text.len;
	return ntd_buf_take_string(&text);
}

static void a_long_line_of_noise_hides_nothing(void **state)
{
	static const char noises[] = {'.', 'x', '\0', ' ', '='};
	static const size_t lengths[] = {16866, 16875, 16885, 16890, 16896, 17500, 100000};

	for (size_t i = 0; i < unit_count(noises) * unit_count(lengths); i++) {
		char noise = noises[i % unit_count(noises)];
		size_t length = lengths[i / unit_count(noises)], len;
		_cleanup_free_ char *banner = after_noise(noise, length, BANNER, &len);
		_cleanup_free_ char *garbled = NULL;

		assert_understood(banner, len, "banner;");
		garbled = after_noise(noise, length, "'A' 0 0 " TOKEN "\n", &len);
		assert_understood(garbled, len, "garbled;");
	}
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(struct ntd_buf *text, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 3) {
		unsigned group = (unsigned)bytes[i] << 16;
		char out[4];

		group |= i + 1 < len ? (unsigned)bytes[i + 1] << 8 : 0;
		group |= i + 2 < len ? bytes[i + 2] : 0;
		for (int k = 0; k < 4; k++)
			out[k] = alphabet[group >> (18 - 6 * k) & 63];
		out[2] = i + 1 < len ? out[2] : '=';
		out[3] = i + 2 < len ? out[3] : '=';
		ntd_buf_append(text, out, sizeof out);
	}
}

static void a_large_output_comes_back_whole(void **state)
{
	static const size_t lengths[] = {3000000, 3000001, 3000002};

	for (size_t i = 0; i < unit_count(lengths); i++) {
		_cleanup_free_ unsigned char *bytes = ntd_malloc(lengths[i]);
		struct ntd_reply reply = {.limit = lengths[i]};
		_cleanup_buf_ struct ntd_buf text = {0};
		const char *at;
		size_t left;

		for (size_t k = 0; k < lengths[i]; k++)
			bytes[k] = (unsigned char)(k * k >> 7);
		ntd_buf_puts(&text, "'' 0 0 " TOKEN " more\n");
		encode(&text, bytes, lengths[i]);
		ntd_buf_puts(&text, " " TOKEN "\nrest");
		ntd_reply_expect(&reply, TOKEN);
		at = ntd_buf_bytes(&text);
		left = text.len;
		assert_int_equal(ntd_reply_feed(&reply, &at, &left), NTD_REPLY_MORE);
		assert_int_equal(ntd_reply_feed(&reply, &at, &left), NTD_REPLY_PIECE);
		assert_int_equal(left, 4); /* the parser stops behind the piece */
		assert_string_equal(reply.token, TOKEN);
		assert_int_equal(reply.output.len, lengths[i]);
		assert_memory_equal(ntd_buf_bytes(&reply.output), bytes, lengths[i]);
		ntd_reply_free(&reply);
	}
}

static void more_than_the_limit_is_refused(void **state)
{
	static const char bytes[] = "'ABCDEF' 0 0 " TOKEN "\n'ABCDEFG' 0 0 " TOKEN "\n"
				    "'' 0 0 " TOKEN " more\nQUJDQUJD " TOKEN "\nQUJD " TOKEN "\n";
	static const enum ntd_reply_event events[] = {NTD_REPLY_COMPLETE, NTD_REPLY_TOO_LONG,
						      NTD_REPLY_MORE, NTD_REPLY_PIECE,
						      NTD_REPLY_TOO_LONG};
	struct ntd_reply reply = {.limit = 6};
	const char *at = bytes;
	size_t left = sizeof bytes - 1;

	ntd_reply_expect(&reply, TOKEN);
	for (size_t i = 0; i < unit_count(events); i++)
		assert_int_equal(ntd_reply_feed(&reply, &at, &left), events[i]);
	ntd_reply_expect(&reply, ""); /* as the shell does; the rest of the line is noise */
	assert_int_equal(ntd_reply_feed(&reply, &at, &left), NTD_REPLY_NONE);
	assert_int_equal(left, 0);
	ntd_reply_free(&reply);
}

/* In the longest output that fits beside a status, each byte is quoted as four characters. */
static void the_longest_short_output_comes_back_whole(void **state)
{
	struct ntd_reply reply = {.limit = 1 << 20};
	_cleanup_buf_ struct ntd_buf text = {0};
	const char *at;
	size_t left;

	ntd_buf_puts(&text, "$'");
	for (int i = 0; i < NTD_SHORT_OUTPUT; i++)
		ntd_buf_puts(&text, "\\303");
	ntd_buf_puts(&text, "' 255 4294967 " TOKEN "\n");
	ntd_reply_expect(&reply, TOKEN);
	at = ntd_buf_bytes(&text);
	left = text.len;
	assert_int_equal(ntd_reply_feed(&reply, &at, &left), NTD_REPLY_COMPLETE);
	assert_int_equal(reply.output.len, NTD_SHORT_OUTPUT);
	assert_int_equal((unsigned char)ntd_buf_bytes(&reply.output)[NTD_SHORT_OUTPUT - 1], 0303);
	ntd_reply_free(&reply);
}

/* Text before a new token is no part of its reply. */
static void a_new_token_begins_a_new_line(void **state)
{
	static const char first[] = "QUJD oops", second[] = "'A' 0 0 " TOKEN "\n";
	struct ntd_reply reply = {.limit = 100};
	struct ntd_buf transcript = {0};
	_cleanup_free_ char *text = NULL;

	ntd_reply_expect(&reply, TOKEN);
	feed(&reply, first, sizeof first - 1, 1, &transcript);
	ntd_reply_expect(&reply, "");
	feed(&reply, second, sizeof second - 1, 1, &transcript);
	ntd_reply_expect(&reply, TOKEN);
	feed(&reply, second, sizeof second - 1, 1, &transcript);
	text = ntd_buf_take_string(&transcript);
	assert_string_equal(text, "0 0 <A>;");
	ntd_reply_free(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_is_decoded),
		cmocka_unit_test(a_reader_that_failed_may_have_cut_the_output),
		cmocka_unit_test(what_is_not_quoted_garbles_a_reply),
		cmocka_unit_test(noise_and_replies_to_others_are_passed_over),
		cmocka_unit_test(an_output_has_gone_by_the_port),
		cmocka_unit_test(a_long_output_comes_in_pieces),
		cmocka_unit_test(noise_among_pieces_garbles_them),
		cmocka_unit_test(the_banner_is_found_after_anything_on_its_line),
		cmocka_unit_test(the_notice_is_found_alone_and_glued),
		cmocka_unit_test(nothing_but_the_banner_counts_without_a_command),
		cmocka_unit_test(a_long_line_of_noise_hides_nothing),
		cmocka_unit_test(a_large_output_comes_back_whole),
		cmocka_unit_test(more_than_the_limit_is_refused),
		cmocka_unit_test(the_longest_short_output_comes_back_whole),
		cmocka_unit_test(a_new_token_begins_a_new_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
