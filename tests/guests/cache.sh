# shellcheck shell=bash
# Sourced by make-vm, make-container and make-image: a cache outside the tree. Each entry is a directory named by a
# hash of all its inputs. An entry appears by rename, so it is complete or absent. A
# killed build leaves a directory `.new-KIND.*`, which the next build removes.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/nixos-test-driver/guests

# Prints the names of the files in directories, and of files, and the hashes of their contents.
recipe() { # PATH...
	local path
	for path; do
		(cd "$(dirname "$path")" &&
			find "$(basename "$path")" ! -type d -print0 | sort -z | xargs -0 sha256sum)
	done
}

# cached KIND INPUTS COMMAND...: sets `entry` to the directory with the results of COMMAND for INPUTS, a text;
# if there is none, it is made by `COMMAND... DIR`.
cached() {
	local kind=$1 hash new
	hash=$(sha256sum <<< "$2")
	entry=$cache/$kind-${hash:0:16}
	[ ! -e "$entry" ] || return 0
	mkdir -p "$cache"
	exec {lock}> "$cache/.lock-$kind"
	flock "$lock"
	if [ ! -e "$entry" ]; then
		rm -rf "$cache/.new-$kind".*
		new=$(mktemp -d "$cache/.new-$kind.XXXXXX")
		echo "${0##*/}: making $entry" >&2
		"${@:3}" "$new" >&2 || die "cannot make the $kind part of the guest"
		mv -T "$new" "$entry"
	fi
	exec {lock}>&-
}
