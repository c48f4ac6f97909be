# shellcheck shell=bash
# Sourced by make-vm: things built once and kept outside the tree, in a directory named by a hash of all that they
# are made from. An entry appears by rename, so it is complete or not there; a build that was killed leaves a
# directory `.new-KIND.*`, which the next one removes.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nixos-test-driver/guests

hash_of() { sha256sum | head -c 16; }

# The names and contents of the files in a directory.
recipe() { (cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }

# cached KIND FINGERPRINT COMMAND...: makes the entry by `COMMAND... DIR` unless there is one, and sets `entry` to its
# directory. FINGERPRINT stands for all inputs.
cached() {
	local kind=$1 new
	entry=$cache/$kind-$(hash_of <<< "$2")
	[ ! -e "$entry" ] || return 0
	mkdir -p "$cache"
	exec {lock}> "$cache/.lock-$kind"
	flock "$lock"
	if [ ! -e "$entry" ]; then
		rm -rf "$cache/.new-$kind".*
		new=$(mktemp -d "$cache/.new-$kind.XXXXXX")
		echo "tests/guests: building $kind in $cache" >&2
		"${@:3}" "$new" >&2 || die "cannot build the guest: $kind failed"
		mv -T "$new" "$entry"
	fi
	exec {lock}>&-
}
