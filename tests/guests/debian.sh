# shellcheck shell=bash
# Sourced by what builds guests of Debian or Ubuntu, whatever this machine runs.

# The machine's own sources of packages, and its proxies.
sources() { # ORIGIN
	apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' "Origin: $1"
}
apt_options() { apt-config dump | grep -E '^Acquire::(https?::(.*::)?Proxy|Check-)' || true; }

# debian_tree FILE.tar PACKAGES OPTION...: a root file system with these packages. The options are mmdebstrap's.
# Not into a directory: apt's user may not be able to reach that.
debian_tree() {
	local target=$1 packages=$2 origin ID VERSION_CODENAME
	shift 2
	. /etc/os-release
	case $ID in
	debian) origin=Debian ;;
	*) origin=Ubuntu ;;
	esac
	sources "$origin" > "$target.list"
	[ -s "$target.list" ] || { echo "apt has no lists of $origin; run apt-get update"; return 1; }
	apt_options > "$target.conf"
	mmdebstrap --quiet --variant=minbase --include="$packages" --keyring=/usr/share/keyrings \
		--aptopt="$target.conf" "$@" "$VERSION_CODENAME" "$target" "$target.list"
	rm "$target.list" "$target.conf"
}

# The packages with the kernel and its modules, which a metapackage depends on.
kernel_packages() { # PACKAGE
	apt-cache depends --recurse --no-{recommends,suggests,conflicts,breaks,replaces,enhances} \
		"$1" | grep -E '^linux-(image|modules|modules-extra)-[0-9]'
}

# unpack_kernel PACKAGE DIR: downloads the newest kernel, which PACKAGE is the metapackage of, and unpacks it
# in DIR/root. It is not installed, since what its package does then takes minutes.
unpack_kernel() {
	local packages deb
	packages=$(kernel_packages "$1") ||
		{ echo "apt knows no package $1: run tests/setup" >&2; return 1; }
	mkdir -p "$2/deb" "$2/root"
	# shellcheck disable=SC2086 # a list of words
	(cd "$2/deb" && apt-get -q -o APT::Sandbox::User="$(id -un)" download $packages) >&2 || {
		echo "cannot download" $packages "(try apt-get update)" >&2
		return 1
	}
	for deb in "$2"/deb/*.deb; do dpkg-deb -x "$deb" "$2/root" || return; done
	[ -e "$2/root/lib/modules" ] || ln -s usr/lib "$2/root/lib"
	depmod -b "$2/root" "$(ls "$2/root/lib/modules")"
}

# Prints the files of modules and of what these depend on, in loading order. What is built in has none.
module_files() { # ROOT NAME...
	local root=$1 name
	for name in "${@:2}"; do
		modprobe -d "$root" -S "$(ls "$root/lib/modules")" --show-depends "$name" ||
			{ echo "the kernel has no module $name" >&2; return 1; }
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}
