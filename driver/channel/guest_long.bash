# shellcheck shell=bash
# What the root shell needs for commands with input or with a long text, and for long outputs where
# there is no data port, beside guest.bash, which says how these texts are sent and which variables
# the functions share. It is sent when the first such command, or output, is there.
# shellcheck disable=SC2034,SC2086,SC2154

# $4 raw bytes follow, by the data port, or after the line. Those that the command does not read are
# swallowed, so that the shell never takes them for commands.
ntd_input() {
	local n=$1 t=$3 g i p w x more
	set +m
	shopt -s lastpipe
	head -c $4 <&$ntd_p | (
		${2:+timeout $2} bash -c "set -euo pipefail; $5"
		s=$?
		cat > /dev/null
		exit $s
	) 3>&- 4<&- 6>&- 7<&- 8<&- | ntd_read
	ntd_reply "${PIPESTATUS[*]:1}"
}

# Sends the next piece of a long output, at most $2 characters of base64.
ntd_more() {
	dd bs=$2 count=1 <&8 2> /dev/null
	echo " $NTD_IDENTITY-$1"
}

# Sends the first piece.
ntd_encode() {
	ntd_file
	base64 -w 0 <&8 >&9 || echo - >&9
	exec 8< /proc/$$/fd/9 9>&-
	ntd_more $1 $2
}
