/* The CRC of Ethernet, highest bit first, of the bytes and then of their number. */
#include "base/cksum.h"

#include <stdbool.h>
#include <threads.h>

static uint32_t table[256];
static once_flag once = ONCE_FLAG_INIT;

static void fill_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i << 24;

		for (int bit = 0; bit < 8; bit++)
			value = value << 1 ^ (value >> 31 ? 0x04c11db7 : 0);
		table[i] = value;
	}
}

static uint32_t add(uint32_t sum, uint8_t byte)
{
	return sum << 8 ^ table[sum >> 24 ^ byte];
}

uint32_t ntd_cksum(const char *bytes, size_t len)
{
	uint32_t sum = 0;

	call_once(&once, fill_table);
	for (size_t i = 0; i < len; i++)
		sum = add(sum, (uint8_t)bytes[i]);
	for (size_t rest = len; rest; rest >>= 8)
		sum = add(sum, (uint8_t)rest);
	return ~sum;
}
