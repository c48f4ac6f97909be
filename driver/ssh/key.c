/* SSH keys of a run, made by libssh. On script threads. */
#include "ssh/key.h"

#include "base/fd.h"
#include "ssh/library.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct key {
	ssh_key key;
	char *public; /* libssh's */
};

static void free_key(struct key *key)
{
	if (key->public)
		ntd_libssh.string_free_char(key->public);
	if (key->key)
		ntd_libssh.key_free(key->key);
}

static int write_new(const char *path, mode_t mode, const char *text, struct ntd_error **err)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0)
		return ntd_error_sys(err, errno, "cannot make the key %s", path);
	if (ntd_fd_write_all(fd, text, strlen(text)) < 0) {
		ntd_error_sys(err, errno, "cannot write the key %s", path);
		unlink(path);
		return -1;
	}
	return 0;
}

/* libssh writes keys to paths only, with the mode that the umask gives, and over files that are
 * there. So a new file of the driver's own, which nobody else can read, is there before. */
static int write_private(const char *path, ssh_key key, struct ntd_error **err)
{
	if (write_new(path, 0600, "", err) < 0)
		return -1;
	if (ntd_libssh.pki_export_privkey_file(key, NULL, NULL, NULL, path) != SSH_OK) {
		unlink(path);
		return ntd_error_set(err, NTD_E_MACHINE, "cannot write the key %s", path);
	}
	return 0;
}

char *ntd_ssh_key_make(const char *path, const char *comment, struct ntd_error **err)
{
	_cleanup_(free_key) struct key key = {0};
	_cleanup_free_ char *line = NULL, *with_newline = NULL, *public_path = NULL;

	if (comment && strpbrk(comment, "\r\n")) {
		ntd_error_set(err, NTD_E_VALUE, "the comment of a key is one line");
		return NULL;
	}
	if (ntd_libssh_load(err) < 0)
		return NULL;
	if (ntd_libssh.pki_generate(SSH_KEYTYPE_ED25519, 0, &key.key) != SSH_OK ||
	    ntd_libssh.pki_export_pubkey_base64(key.key, &key.public) != SSH_OK) {
		ntd_error_set(err, NTD_E_MACHINE, "libssh cannot make an Ed25519 key");
		return NULL;
	}
	line = ntd_asprintf("ssh-ed25519 %s%s%s", key.public, comment ? " " : "",
			    comment ? comment : "");
	with_newline = ntd_asprintf("%s\n", line);
	public_path = ntd_asprintf("%s.pub", path);
	if (write_private(path, key.key, err) < 0)
		return NULL;
	if (write_new(public_path, 0644, with_newline, err) < 0) {
		unlink(path);
		return NULL;
	}
	return ntd_steal(&line);
}
