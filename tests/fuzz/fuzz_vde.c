/* Fuzzes a request on a VLAN's control socket. The bytes arrive in two parts, split where the first
 * byte says. The verdict on the first part has to agree with the verdict on the whole, and an
 * accepted request has to satisfy the invariants of one. The program touches no socket.
 */
#include "net/vde.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_accepted(const struct ntd_vde_request *request)
{
	size_t description = strnlen(request->description, sizeof request->description);
	size_t path = strnlen(request->path, sizeof request->path);
	struct sockaddr_un address;

	require(path > 0 && path < sizeof request->path);
	require(description < sizeof request->description);
	for (size_t i = 0; i < description; i++)
		require(request->description[i] >= 0x20 && request->description[i] < 0x7f);
	require(ntd_vde_address(&address, "", request->path, NULL) == (path < 107 ? 0 : -1));
}

/* Parses an exact copy on the heap, so that the sanitizer notices reads past its end. */
static int parse(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = ntd_malloc(size);
	_cleanup_error_ struct ntd_error *error = NULL;
	struct ntd_vde_request request;
	int result;

	if (size)
		memcpy(copy, data, size);
	result = ntd_vde_parse_request(copy, size, &request, &error);
	require(result >= -1 && result <= 1);
	require((result < 0) == (error && error->code == NTD_E_PROTOCOL));
	if (result > 0)
		check_accepted(&request);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t split = size ? data[0] : 0;
	int first, whole;

	if (size < 1 || size > NTD_VDE_REQUEST_MAX + 64)
		return 0;
	data++;
	size--;
	first = parse(data, split < size ? split : size);
	whole = parse(data, size);
	require(first == 0 || first == whole);
	return 0;
}
