/* The VDE wire protocol, version 3: what a client says to a switch on its control socket.
 *
 * Pure functions on bytes. Integers are in the byte order of the host, structures without padding:
 *
 *	request	u32 magic 0xfeedface, u32 version 3, u32 type,
 *		struct sockaddr_un of the client's data socket,
 *		up to 128 bytes of description, without terminator
 *	reply	struct sockaddr_un of the switch's data socket for this client
 *
 * The low byte of the type is 0 (any port, or the one whose number is in the upper bits) or 1
 * (port 0). A hub treats all ports alike, so numbers are accepted and not used: every client gets
 * a port of its own.
 *
 * Source: observed between libvdeplug 4.0.1, QEMU 7.2 and vde_switch 2.3.2.
 */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <sys/un.h>

enum {
	NTD_VDE_PATH_SIZE = sizeof(((struct sockaddr_un *)0)->sun_path),
	NTD_VDE_DESCRIPTION_MAX = 128,
	NTD_VDE_REQUEST_MIN = 12 + sizeof(struct sockaddr_un), /* without a description */
	NTD_VDE_REQUEST_MAX = NTD_VDE_REQUEST_MIN + NTD_VDE_DESCRIPTION_MAX
};

struct ntd_vde_request {
	char path[NTD_VDE_PATH_SIZE];                  /* the client's data socket, terminated */
	char description[NTD_VDE_DESCRIPTION_MAX + 1]; /* printable ASCII, others as '?' */
};

/* Reads a request from the first `len` bytes of a control connection. Returns 1 and sets *request
 * when the request is complete, 0 when more bytes are needed, -1 with NTD_E_PROTOCOL as soon as the
 * bytes cannot become a valid request. A request is complete with its address; the description is
 * what has arrived along with the address. */
int ntd_vde_parse_request(const void *bytes, size_t len, struct ntd_vde_request *request,
			  struct ntd_error **err);

/* Sets *address to that of an AF_UNIX socket at `directory`/`name`: the body of the reply, and what
 * bind() and connect() take. Returns 0, or -1 with NTD_E_VALUE, naming the path and its length, if
 * the path is too long. */
int ntd_vde_address(struct sockaddr_un *address, const char *directory, const char *name,
		    struct ntd_error **err);
