/* Paths of copies, of both sides. Pure, but for random names. */
#include "sftp/internal.h"

#include "base/text.h"

#include <string.h>
#include <sys/random.h>

char *ntd_sftp_trimmed(const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && (path[len - 1] == '/' || (path[len - 1] == '.' && path[len - 2] == '/')))
		len--;
	return ntd_strndup(path, len);
}

char *ntd_sftp_join(const char *directory, const char *name)
{
	return ntd_asprintf("%s%s%s", directory, ntd_has_suffix(directory, "/") ? "" : "/", name);
}

char *ntd_sftp_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ntd_strdup(".");
	return slash == path ? ntd_strdup("/") : ntd_strndup(path, (size_t)(slash - path));
}

char *ntd_sftp_temporary_name(void)
{
	uint64_t random = 0;

	if (getrandom(&random, sizeof random, 0) != sizeof random)
		abort();
	return ntd_asprintf(NTD_SFTP_TEMPORARY "%016llx", (unsigned long long)random);
}

const char *ntd_sftp_name_of(const char *path)
{
	const char *name = ntd_file_name(path);

	return ntd_sftp_is_name((struct ntd_sftp_string){name, strlen(name)}) ? name : NULL;
}
