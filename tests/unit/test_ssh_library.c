/* Tests of a host without libssh: here, no library can be loaded. */
#include "unit.h"

#include "ssh/key.h"
#include "ssh/library.h"

#include <dlfcn.h>

static unsigned attempts;

/* The C library's functions, for this program. */
void *dlopen(const char *file, int mode)
{
	attempts++;
	return NULL;
}

char *dlerror(void)
{
	return (char *)"libssh.so.4: cannot open shared object file";
}

static void the_error_names_the_library_and_its_packages(void **state)
{
	assert_fails(ntd_libssh_load(&err), NTD_E_MACHINE,
		     "no SSH: cannot load libssh, which is in the package libssh-4 of Debian, "
		     "libssh of nixpkgs: libssh.so.4: cannot open shared object file");
}

static void it_is_looked_for_once(void **state)
{
	unsigned before;

	ntd_libssh_load(NULL);
	before = attempts;
	assert_true(before > 0);
	assert_true(ntd_libssh_load(NULL) < 0);
	assert_int_equal(attempts, before);
}

static void no_key_is_made(void **state)
{
	struct ntd_error *err = NULL;

	assert_null(ntd_ssh_key_make("/nonexistent/key", NULL, &err));
	assert_error(err, NTD_E_MACHINE, "cannot load libssh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_error_names_the_library_and_its_packages),
		cmocka_unit_test(it_is_looked_for_once),
		cmocka_unit_test(no_key_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
