/* The words of a server for people; pure. */
#include "sftp/packet.h"

#include "base/text.h"

enum { WORDS_LIMIT = 256 };

char *ntd_sftp_words(const struct ntd_sftp_answer *answer)
{
	static const char *const words[] = {
		[NTD_SFTP_OK] = "Success",
		[NTD_SFTP_EOF] = "End of file",
		[NTD_SFTP_NO_SUCH_FILE] = "No such file",
		[NTD_SFTP_PERMISSION_DENIED] = "Permission denied",
		[NTD_SFTP_FAILURE] = "Failure",
		[NTD_SFTP_BAD_MESSAGE] = "Bad message",
		[NTD_SFTP_NO_CONNECTION] = "No connection",
		[NTD_SFTP_CONNECTION_LOST] = "Connection lost",
		[NTD_SFTP_UNSUPPORTED] = "Operation unsupported",
	};
	uint32_t code = answer->code;

	if (answer->text.len)
		return ntd_shown(answer->text.bytes,
				 answer->text.len < WORDS_LIMIT ? answer->text.len : WORDS_LIMIT);
	if (code < sizeof words / sizeof *words)
		return ntd_strdup(words[code]);
	return ntd_asprintf("error %u of the server", code);
}
