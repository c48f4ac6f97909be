/* How a user is let in by sshd. Loop thread only.
 *
 * A round tries everything once: nothing, which also tells what sshd accepts, the key, the
 * password, and the password as the answer to questions. Rounds are repeated on the same
 * connection, since a new sshd takes many failed connections for an attack.
 */
#include "ssh/auth.h"

#include "base/buf.h"

enum step { NOTHING, KEY, PASSWORD, ANSWERS, FAILED };

enum { PROMPTS = 16 }; /* questions that are answered at a time */

void ntd_ssh_auth_begin(struct ntd_ssh_auth *auth)
{
	auth->step = NOTHING;
}

static bool applies(const struct ntd_ssh_auth *auth, const struct ntd_ssh_credentials *with)
{
	switch ((enum step)auth->step) {
	case NOTHING:
		return true;
	case KEY:
		return with->key && auth->methods & SSH_AUTH_METHOD_PUBLICKEY;
	case PASSWORD:
		return with->password && auth->methods & SSH_AUTH_METHOD_PASSWORD;
	case ANSWERS:
		return with->password && auth->methods & SSH_AUTH_METHOD_INTERACTIVE;
	case FAILED:
	default:
		return false;
	}
}

/* Gives the password as the answer to everything that sshd asks. A guest that asks on and on gets
 * an answer each time that the session runs, so that neither the loop nor the step's limit waits.
 */
static int answer(struct ntd_ssh_session *session, const char *password)
{
	ssh_session ssh = session->ssh;
	int result = ntd_libssh.userauth_kbdint(ssh, NULL, NULL), prompts;

	if (result != SSH_AUTH_INFO)
		return result;
	prompts = ntd_libssh.userauth_kbdint_getnprompts(ssh);
	for (int i = 0; i < prompts && i < PROMPTS; i++)
		ntd_libssh.userauth_kbdint_setanswer(ssh, (unsigned)i, password);
	ntd_ssh_session_run(session); /* the next call sends them */
	return SSH_AUTH_AGAIN;
}

static int attempt(const struct ntd_ssh_auth *auth, struct ntd_ssh_session *session,
		   const struct ntd_ssh_credentials *with)
{
	ssh_session ssh = session->ssh;

	switch ((enum step)auth->step) {
	case NOTHING:
		return ntd_libssh.userauth_none(ssh, NULL);
	case KEY:
		return ntd_libssh.userauth_publickey(ssh, NULL, with->key);
	case PASSWORD:
		return ntd_libssh.userauth_password(ssh, NULL, with->password);
	case ANSWERS:
		return answer(session, with->password);
	case FAILED:
	default:
		return SSH_AUTH_DENIED;
	}
}

enum ntd_ssh_admission ntd_ssh_auth_step(struct ntd_ssh_auth *auth, struct ntd_ssh_session *session,
					 const struct ntd_ssh_credentials *with)
{
	for (; auth->step < FAILED; auth->step++) {
		int result;

		if (!applies(auth, with))
			continue;
		result = attempt(auth, session, with);
		if (result == SSH_AUTH_SUCCESS)
			return NTD_SSH_ADMITTED;
		if (ntd_ssh_session_ended(session))
			return NTD_SSH_ADMISSION_LOST;
		if (result == SSH_AUTH_AGAIN)
			return NTD_SSH_ADMISSION_PENDING;
		/* SSH_AUTH_PARTIAL: sshd wants another method, too. SSH_AUTH_ERROR: this libssh or
		 * this sshd cannot use the key. */
		auth->methods = ntd_libssh.userauth_list(session->ssh, NULL);
	}
	return NTD_SSH_DENIED;
}

static void append(struct ntd_buf *list, bool also, const char *name)
{
	if (also)
		ntd_buf_printf(list, "%s%s", list->len ? ", " : "", name);
}

char *ntd_ssh_auth_describe(const struct ntd_ssh_auth *auth, const struct ntd_ssh_credentials *with)
{
	_cleanup_buf_ struct ntd_buf text = {0}, accepted = {0}, tried = {0};

	append(&accepted, auth->methods & SSH_AUTH_METHOD_PUBLICKEY, "publickey");
	append(&accepted, auth->methods & SSH_AUTH_METHOD_PASSWORD, "password");
	append(&accepted, auth->methods & SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive");
	append(&accepted, auth->methods & SSH_AUTH_METHOD_HOSTBASED, "hostbased");
	append(&accepted, auth->methods & SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic");
	if (with->key_path)
		ntd_buf_printf(&tried, "the key %s%s", with->key_path,
			       with->key ? "" : ", which cannot be read");
	append(&tried, with->password, "a password");
	if (!tried.len)
		ntd_buf_puts(&tried, "neither a key nor a password");
	ntd_buf_printf(&text, "sshd accepts %.*s; the driver has %.*s",
		       accepted.len ? (int)accepted.len : 7,
		       accepted.len ? ntd_buf_bytes(&accepted) : "nothing", (int)tried.len,
		       ntd_buf_bytes(&tried));
	return ntd_buf_take_string(&text);
}

void ntd_ssh_credentials_read_key(struct ntd_ssh_credentials *credentials)
{
	if (credentials->key_path)
		ntd_libssh.pki_import_privkey_file(credentials->key_path, NULL, NULL, NULL,
						   &credentials->key);
}

void ntd_ssh_credentials_free(struct ntd_ssh_credentials *credentials)
{
	free(credentials->user);
	free(credentials->key_path);
	free(credentials->password);
	if (credentials->key)
		ntd_libssh.key_free(credentials->key);
	*credentials = (struct ntd_ssh_credentials){0};
}
