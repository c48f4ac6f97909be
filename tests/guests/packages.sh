# shellcheck shell=bash
# Sourced by make-vm and make-image: which Debian packages there are, installed and in apt's lists.

# Prints the names and versions of packages, which have to be installed.
installed() { # PACKAGE...
	local missing
	type -P dpkg-query > /dev/null ||
		die "guests are built from Debian packages, and this is neither Debian nor Ubuntu"
	missing=$(comm -23 <(printf '%s\n' "$@" | sort) <(
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null |
			sed -n 's/^installed //p' | sort))
	[ -z "$missing" ] ||
		die "not installed: ${missing//$'\n'/ } (tests/setup installs what is needed)"
	dpkg-query -W "$@"
}

candidate() { apt-cache show --no-all-versions "$1" 2> /dev/null | sed -n 's/^Version: //p'; }

# Prints the first of these packages that apt knows, and its version.
first_candidate() { # PACKAGE...
	local package version
	for package; do
		version=$(candidate "$package")
		[ -z "$version" ] || { echo "$package $version"; return; }
	done
	die "apt knows no $1; tests/setup or apt-get update may help"
}

# Writes DIR/kernel and DIR/image-kernel, names and versions of packages, and DIR/systemd, a version.
newest_versions() { # DIR
	first_candidate linux-image-amd64 linux-image-generic > "$1/kernel" &&
		first_candidate linux-image-cloud-amd64 linux-image-virtual > "$1/image-kernel" || return
	candidate systemd > "$1/systemd"
}

# Sets `newest` to a directory with what apt would install. apt-cache takes half a second, so its answers are
# kept as long as its lists are the same.
find_versions() {
	[ "$(uname -m)" = x86_64 ] || die "guests need an x86-64 machine"
	cached versions "$(declare -f newest_versions first_candidate
		stat -c '%n %Y' /var/lib/apt/lists /etc/apt/sources.list.d)" newest_versions
	# shellcheck disable=SC2034,SC2154 # for the caller, and by cached()
	newest=$entry
}
