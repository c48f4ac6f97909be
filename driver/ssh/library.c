/* Loading libssh, on the first thread of a script that needs it. */
#include "ssh/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* The directory of the libssh with which the driver was built; "": not known. */
#ifndef NTD_LIBSSH_DIR
#define NTD_LIBSSH_DIR ""
#endif

#define LIBRARY "libssh.so.4"

struct ntd_libssh ntd_libssh;

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define ENTRY(name) {"ssh_" #name, offsetof(struct ntd_libssh, name)},
	NTD_LIBSSH_FUNCTIONS(ENTRY)
#undef ENTRY
};

static struct ntd_error *failure; /* of the only attempt; NULL: it has succeeded */

/* Where packages are in directories of their own, as with Nix, the linker finds none by its name.
 * The error is about the name, since that is what a user can install. */
static void *open_library(void)
{
	static const char *const names[] = {NTD_LIBSSH_DIR "/" LIBRARY, LIBRARY};
	void *handle = NULL;

	for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++)
		handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		failure = ntd_error_new(NTD_E_MACHINE,
					"no SSH: cannot load libssh, which is in the package "
					"libssh-4 of Debian, libssh of nixpkgs: %s",
					dlerror());
	return handle;
}

static void load(void)
{
	void *handle = open_library();

	for (size_t i = 0; !failure && i < sizeof functions / sizeof *functions; i++) {
		void *address = dlsym(handle, functions[i].name);

		if (!address)
			failure = ntd_error_new(NTD_E_MACHINE,
						"no SSH: libssh comes without the function %s",
						functions[i].name);
		memcpy((char *)&ntd_libssh + functions[i].offset, &address, sizeof address);
	}
}

int ntd_libssh_load(struct ntd_error **err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return failure ? ntd_error_move(err, ntd_error_copy(failure)) : 0;
}
