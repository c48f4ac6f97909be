/* The links of a copy that the guest has made in the shared directory. On a script thread.
 *
 * `cp -r` keeps links, which lead to files of the guest; the host could not follow them, or would
 * find its own files. So the guest changes them, by a function for its shell (copy_links.bash). The
 * host believes nothing of it: base/tree.h says which links it copies.
 */
#include "guest/files.h"

#include "base/text.h"
#include "channel/progress.h"

#include <string.h>

int ntd_machine_copy_links(struct ntd_machine *machine, const char *source, const char *copy,
			   struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_free_ char *from = ntd_shell_quoted(source), *to = ntd_shell_quoted(copy);
	_cleanup_free_ char *text =
		ntd_asprintf("%sntd_links \"$(readlink -f %s)\" %s", ntd_copy_links_bash, from, to);
	_cleanup_result_ struct ntd_result result = {0};
	struct ntd_command run = {
		.text = text, .text_len = strlen(text), .timeout = NTD_NO_TIMEOUT};

	if (ntd_machine_run(machine, &run, &result, waiter, err) < 0)
		return -1;
	if (result.status)
		return ntd_error_set(err, NTD_E_ASSERTION,
				     "cannot copy %s: its links cannot be followed (exit code %d)",
				     source, result.status);
	ntd_log_without(ntd_machine_report(machine), ntd_machine_name(machine), source,
			ntd_buf_bytes(&result.output), result.output.len);
	return 0;
}
