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

# Begins to send the output that ntd_spool has kept, in pieces of $2 characters of base64, each when
# the driver asks for it by ntd_more. A process a piece would take most of the time, so one awk sends
# them all: before each but the first it waits for a line on its descriptor 9, a pipe whose other end
# is the shell's descriptor 8. The line is as long as the buffer that mawk fills before it looks for
# one. Where there is no awk, head sends a piece. $ntd_e is the process that has begun them, and s the
# length of a line of base64.
ntd_encode() {
	local s=$2 t=" $NTD_IDENTITY-$1"
	type -P awk > /dev/null || s=0
	: | exec 9<&0
	exec 5<&8 8> /proc/$$/fd/9
	{
		{ base64 -w $s <&5 || echo -; } 2> /dev/null | if [ $s = 0 ]; then
			while head -c $2 && echo "$t"; read -r -u 9; do :; done
		else
			awk -v t="$t" 'BEGIN {
			do { x = ""; getline x; print x t; fflush() } while ((getline y < "/proc/self/fd/9") > 0)
			}' || echo "-$t"
		fi
	} 3>&- 4<&- 6>&- 7<&- 8>&- &
	ntd_e=$!
	exec 5<&- 9<&-
}

ntd_more() {
	trap '' PIPE
	printf '%4095s\n' '' >&8
	trap - PIPE
}

# Ends what ntd_encode has begun, so that nothing of it comes between the replies to other commands.
ntd_leave() {
	exec 8>&-
	wait $ntd_e
}
