/* The call that mounts a share. Apart from the service that uses it, so that tests of the service
 * can do without: they run as root on somebody's host.
 */
#include "agent/mount.h"

#include <errno.h>
#include <sys/mount.h>

int ntd_agent_mount_share(const struct ntd_mount *share, const char *options)
{
	return mount(share->tag, share->directory, share->type, share->flags, options) < 0 ? errno
											   : 0;
}
