/* Copies of files between the driver and the guest, on the guest's side.
 *
 * A stream that begins with PUT or GET and no payload speaks SFTP, version 3, in its DATA frames,
 * and the agent is the server: the driver's client (sftp/sftp.h) is the one that copies by SSH,
 * too. What differs from an SSH server is that a copy to the guest is one of `cp`, in whose place
 * it is made: modes are those of the source without set-user-ID and the like, less the umask; times
 * are those of the copy; a file that is there keeps its owner and its mode.
 *
 * An extension, NTD_SFTP_SEEK, says where a file has data. The stream ends, with DONE, after END of
 * the driver, or when it is cancelled. Then, and when the port is lost, what the copy has half
 * written is removed: the files and directories whose names begin with NTD_SFTP_TEMPORARY and that
 * have not been renamed.
 */
#pragma once

#include "agent/agent.h"

#include <stdbool.h>

/* The services. */
extern const struct ntd_agent_service ntd_agent_put, ntd_agent_get;

/* The server, which knows no stream: bytes go in, bytes come out. It blocks for files. */
struct ntd_files;

struct ntd_files *ntd_files_new(void);
/* Takes bytes of the client. */
void ntd_files_input(struct ntd_files *files, const char *bytes, size_t len);
/* Answers requests while there are whole ones, and little output. Returns whether there may be more
 * to answer when the output has been consumed; -1: the client does not speak the protocol. */
int ntd_files_answer(struct ntd_files *files);
struct ntd_buf *ntd_files_output(struct ntd_files *files);
/* Removes what is half written, and frees the server. */
void ntd_files_free(struct ntd_files *files);

/* Serves the client that writes to `in` and reads from `out`, until it ends. */
void ntd_files_serve(int in, int out);
