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
