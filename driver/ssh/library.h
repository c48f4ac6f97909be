/* libssh, loaded when a script first needs SSH: it brings a library of cryptography and one of
 * Kerberos, which take a fifth of a short run's time and memory, and most runs never use it. The
 * functions have the types that libssh's headers give them, and are documented there and at
 * https://api.libssh.org.
 */
#pragma once

#include "base/error.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#define NTD_LIBSSH_FUNCTIONS(FUNCTION)                                                             \
	FUNCTION(channel_free)                                                                     \
	FUNCTION(channel_new)                                                                      \
	FUNCTION(channel_open_session)                                                             \
	FUNCTION(channel_request_exec)                                                             \
	FUNCTION(channel_request_pty_size)                                                         \
	FUNCTION(channel_request_send_signal)                                                      \
	FUNCTION(channel_request_shell)                                                            \
	FUNCTION(channel_request_subsystem)                                                        \
	FUNCTION(channel_send_eof)                                                                 \
	FUNCTION(channel_write)                                                                    \
	FUNCTION(clean_pubkey_hash)                                                                \
	FUNCTION(connect)                                                                          \
	FUNCTION(event_add_session)                                                                \
	FUNCTION(event_dopoll)                                                                     \
	FUNCTION(event_free)                                                                       \
	FUNCTION(event_new)                                                                        \
	FUNCTION(free)                                                                             \
	FUNCTION(get_error)                                                                        \
	FUNCTION(get_fingerprint_hash)                                                             \
	FUNCTION(get_poll_flags)                                                                   \
	FUNCTION(get_publickey_hash)                                                               \
	FUNCTION(get_server_publickey)                                                             \
	FUNCTION(get_serverbanner)                                                                 \
	FUNCTION(get_status)                                                                       \
	FUNCTION(key_cmp)                                                                          \
	FUNCTION(key_free)                                                                         \
	FUNCTION(key_type)                                                                         \
	FUNCTION(key_type_to_char)                                                                 \
	FUNCTION(new)                                                                              \
	FUNCTION(options_set)                                                                      \
	FUNCTION(pki_export_privkey_file)                                                          \
	FUNCTION(pki_export_pubkey_base64)                                                         \
	FUNCTION(pki_generate)                                                                     \
	FUNCTION(pki_import_privkey_file)                                                          \
	FUNCTION(remove_channel_callbacks)                                                         \
	FUNCTION(send_keepalive)                                                                   \
	FUNCTION(set_blocking)                                                                     \
	FUNCTION(set_channel_callbacks)                                                            \
	FUNCTION(set_counters)                                                                     \
	FUNCTION(string_free_char)                                                                 \
	FUNCTION(userauth_kbdint)                                                                  \
	FUNCTION(userauth_kbdint_getnprompts)                                                      \
	FUNCTION(userauth_kbdint_setanswer)                                                        \
	FUNCTION(userauth_list)                                                                    \
	FUNCTION(userauth_none)                                                                    \
	FUNCTION(userauth_password)                                                                \
	FUNCTION(userauth_publickey)

/* ntd_libssh.connect is ssh_connect(). There are no functions before ntd_libssh_load() has
 * succeeded; from then on they stay, for all threads. */
struct ntd_libssh {
#define DECLARE(name) __typeof__(ssh_##name) *(name);
	NTD_LIBSSH_FUNCTIONS(DECLARE)
#undef DECLARE
};

extern struct ntd_libssh ntd_libssh;

/* Any thread but the loop's: loads libssh, unless it is there. Returns 0, or -1 with NTD_E_MACHINE
 * when it is not installed or lacks a function. Loading is tried only once in a process. */
int ntd_libssh_load(struct ntd_error **err);
