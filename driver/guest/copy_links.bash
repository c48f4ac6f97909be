# shellcheck shell=bash
# What is done in the guest with the links of a copy, as the host cannot follow those of the guest
# (guest/files_links.c).

# Makes the links in COPY, a copy of the directory REAL, links within it, or replaces them by what they lead to. Each
# pair is followed by those that it is in. Prints the links that lead to neither a file nor a directory; they are
# removed.
ntd_links() { # REAL COPY [REAL COPY]...
	local copy=$2 i link path shut=() target text top up
	shopt -s globstar dotglob nullglob
	local all=("$copy"/**)
	for link in "${all[@]}"; do
		[ -L "$link" ] || continue
		path=${1%/}${link#"$copy"}
		target=
		[ -f "$path" ] || [ -d "$path" ] && target=$(readlink -f "$path")
		if ! rm "$link" 2> /dev/null; then
			chmod u+w "${link%/*}" && rm "$link" || return
			shut+=("${link%/*}")
		fi
		if [ -z "$target" ]; then
			echo "$path"
			continue
		fi
		text=
		for ((i = 1; i < $#; i += 2)); do
			top=${*:i+1:1}
			up=${*:i:1}
			up=${up%/}
			case $target/ in "$up"/*)
				target=${target#"$up"}
				target=${target#/}/
				up=${link#"$top"/}
				while [ "${target%%/*}" = "${up%%/*}" ] && [ "$up" != "${up#*/}" ]; do
					target=${target#*/}
					up=${up#*/}
				done
				up=${up//[!\/]/}
				text=${up//\//../}${target%/}
				text=${text%/}
				text=${text:-.}
				break
				;;
			esac
		done
		if [ "$text" ]; then
			ln -s "$text" "$link" || return
		else
			cp -rH "$path" "$link" || return
			[ ! -d "$path" ] || ntd_links "$target" "$link" "$@" || return
		fi
	done
	[ ${#shut[@]} = 0 ] || chmod u-w "${shut[@]}"
}
