/* Reading requests of VDE clients. Pure functions: any thread, no state. The bytes come from a
 * client that may be broken or hostile.
 */
#include "net/vde.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Offsets in a request. */
enum { MAGIC_AT = 0, VERSION_AT = 4, TYPE_AT = 8, FAMILY_AT = 12, PATH_AT = 14 };

enum { TYPE_ANY_PORT = 0, TYPE_PORT_0 = 1 };

static_assert(PATH_AT + NTD_VDE_PATH_SIZE == NTD_VDE_REQUEST_MIN, "sockaddr_un is not packed");

/* Copies the field of `size` bytes at the offset `at`; false while not all its bytes have come. */
static bool field(const unsigned char *bytes, size_t len, size_t at, void *value, size_t size)
{
	if (len < at + size)
		return false;
	memcpy(value, bytes + at, size);
	return true;
}

/* Checks each field as soon as it is there, so that noise is refused without waiting for more. */
static int check_header(const unsigned char *bytes, size_t len, struct ntd_error **err)
{
	uint32_t magic, version, type;
	sa_family_t family;

	if (field(bytes, len, MAGIC_AT, &magic, sizeof magic) && magic != 0xfeedface)
		return ntd_error_set(err, NTD_E_PROTOCOL, "not a VDE request (magic %#x)", magic);
	if (field(bytes, len, VERSION_AT, &version, sizeof version) && version != 3)
		return ntd_error_set(err, NTD_E_PROTOCOL,
				     "VDE protocol version %u (only 3 is served)", version);
	if (field(bytes, len, TYPE_AT, &type, sizeof type) && (type & 0xff) != TYPE_ANY_PORT &&
	    (type & 0xff) != TYPE_PORT_0)
		return ntd_error_set(err, NTD_E_PROTOCOL, "unknown VDE request type %#x", type);
	if (field(bytes, len, FAMILY_AT, &family, sizeof family) && family != AF_UNIX)
		return ntd_error_set(err, NTD_E_PROTOCOL,
				     "data socket of address family %u, not AF_UNIX", family);
	return 0;
}

static int read_path(const unsigned char *bytes, char path[static NTD_VDE_PATH_SIZE],
		     struct ntd_error **err)
{
	memcpy(path, bytes + PATH_AT, NTD_VDE_PATH_SIZE);
	if (!path[0])
		return ntd_error_set(err, NTD_E_PROTOCOL, "data socket without a path");
	if (!memchr(path, '\0', NTD_VDE_PATH_SIZE))
		return ntd_error_set(err, NTD_E_PROTOCOL, "data socket path of %d bytes or more",
				     NTD_VDE_PATH_SIZE);
	return 0;
}

static void read_description(const unsigned char *bytes, size_t len, char *description)
{
	size_t count = 0;

	while (count < len && count < NTD_VDE_DESCRIPTION_MAX && bytes[count]) {
		unsigned char c = bytes[count];

		description[count++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	description[count] = '\0';
}

int ntd_vde_parse_request(const void *bytes, size_t len, struct ntd_vde_request *request,
			  struct ntd_error **err)
{
	const unsigned char *in = bytes;

	if (check_header(in, len, err) < 0)
		return -1;
	if (len < NTD_VDE_REQUEST_MIN)
		return 0;
	if (read_path(in, request->path, err) < 0)
		return -1;
	read_description(in + NTD_VDE_REQUEST_MIN, len - NTD_VDE_REQUEST_MIN, request->description);
	return 1;
}

int ntd_vde_address(struct sockaddr_un *address, const char *directory, const char *name,
		    struct ntd_error **err)
{
	size_t len = strlen(directory) + 1 + strlen(name);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len >= sizeof address->sun_path)
		return ntd_error_set(err, NTD_E_VALUE,
				     "the socket path %s/%s has %zu bytes; %zu are possible",
				     directory, name, len, sizeof address->sun_path - 1);
	snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", directory, name);
	return 0;
}
