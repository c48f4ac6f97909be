/* Whether a copy to the server fails because a file system of the guest is full: the protocol has
 * one word, "Failure", for that and for much else, so a server that can is asked how much space
 * there is. The copy stands still meanwhile. On the loop thread.
 */
#include "sftp/put.h"

/* The answer is that of statvfs(3). A disk is full where a piece of a file has no room. */
static bool is_full(const struct ntd_sftp *sftp, struct ntd_sftp_reader rest)
{
	uint64_t numbers[8];
	uint64_t fragment, blocks, all_files, files;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		numbers[i] = ntd_sftp_get_u64(&rest);
	fragment = numbers[1];
	blocks = numbers[4];
	all_files = numbers[5];
	files = numbers[7];
	if (rest.bad || fragment == 0)
		return false;
	return blocks < sftp->write_size / fragment + 1 || (all_files && !files);
}

static void told_space(struct ntd_sftp *sftp, const struct ntd_sftp_call *call,
		       const struct ntd_sftp_answer *answer)
{
	bool full = answer->type == NTD_SFTP_EXTENDED_REPLY && is_full(sftp, answer->rest);

	ntd_sftp_fail(sftp, ntd_error_new(NTD_E_MACHINE, "%s%s", sftp_put_of(sftp)->refusal,
					  full ? ": no space is left" : ""));
}

void ntd_sftp_put_fail_for_space(struct ntd_sftp *sftp, const char *path, char *text)
{
	struct sftp_put *put = sftp_put_of(sftp);
	_cleanup_free_ char *parent = ntd_sftp_parent(path);

	if (put->refusal) { /* the first counts */
		free(text);
		return;
	}
	put->refusal = text;
	ntd_sftp_call(sftp, NTD_SFTP_EXTENDED, told_space, NULL);
	ntd_sftp_put_text(&sftp->output, "statvfs@openssh.com");
	ntd_sftp_put_text(&sftp->output, parent);
	ntd_sftp_send(sftp);
}
