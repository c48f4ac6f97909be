/* Copies of files of the host as the standard input of a command in the guest. On a script thread.
 */
#include "guest/files.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { FILE_LIMIT = 1 << 30 };

static int read_file(const char *path, struct ntd_buf *bytes, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && ntd_fd_read_all(fd, bytes, FILE_LIMIT) == 0)
		return 0;
	if (errno == EFBIG)
		return ntd_error_set(err, NTD_E_VALUE, "%s is larger than 1 GiB", path);
	return ntd_error_sys(err, errno, "cannot read %s", path);
}

static int copy_via_shell(struct ntd_machine *machine, const char *source, const char *target,
			  struct ntd_waiter *waiter, struct ntd_error **err)
{
	_cleanup_buf_ struct ntd_buf bytes = {0};
	_cleanup_result_ struct ntd_result result = {0};
	_cleanup_free_ char *text =
		ntd_asprintf("mkdir -p $(dirname %s); cat > %s", target, target);
	struct ntd_command command = {
		.text = text, .text_len = strlen(text), .timeout = NTD_NO_TIMEOUT};

	if (read_file(source, &bytes, err) < 0)
		return -1;
	command.input = ntd_buf_bytes(&bytes);
	command.input_len = bytes.len;
	if (ntd_machine_run(machine, &command, &result, waiter, err) < 0)
		return -1;
	if (result.status)
		return ntd_error_set(err, NTD_E_ASSERTION, "command `%s` failed (exit code %d)",
				     text, result.status);
	return 0;
}

int ntd_machine_copy_via_shell(struct ntd_machine *machine, const char *source, const char *target,
			       struct ntd_waiter *waiter, struct ntd_error **err)
{
	struct ntd_nest nest = ntd_nest_begin(ntd_machine_report(machine), NTD_STEP_FILE,
					      ntd_machine_name(machine),
					      "copying %s to %s by the root shell", source, target);
	int result = copy_via_shell(machine, source, target, waiter, err);

	ntd_nest_end(&nest, result < 0);
	return result;
}
