# shellcheck shell=bash
# Starts the agent in the guest: the root shell, a bash, evaluates this text (launch.c), without
# comments, which are lines of their own, and without indentation. The variables of
# channel/guest.bash are there: descriptor 6 is the standard input of commands without a time-out,
# and $ntd_in, 0 or 6, that of others.
#
# Names are short, since bash reads the text byte by byte; few processes are started, since each
# costs more than all else; and none sleeps, as a sleep would be the longest part. Nothing is left
# in the guest but the functions, $ntd_agent, and the agent: a file that is open and removed can
# still be executed, and a job that is disowned is not waited for and not talked of. A shell that is
# killed before it has removed its file leaves an empty one, which the next shell removes.
#
# Variables that the functions share: d is the descriptor of the port, w that of the file that is
# written to, l those of all files for reading, o the one of them that can be executed, and x, for
# the driver, says why there is no agent.

# Words of numbers and of paths need no quotes, which would be sent, too; variables come from the
# function that calls.
# shellcheck disable=SC2004,SC2015,SC2034,SC2086,SC2154,SC2231

# Reads the program, $3 bytes, from the port with the name $1, which may come a moment later than
# this, and be connected another moment later, but not after $2 seconds. Until it is connected, it
# has an end at once.
ntd_fetch() {
	local e=$((SECONDS + $2)) f g s
	x='its port is not there'
	until [ $d ]; do
		for f in ${NTD_PORTS:-/sys/class/virtio-ports}/*/name; do
			read -r s < $f && [ "$s" = $1 ] || continue
			f=${f%/*}
			exec {d}<> ${NTD_DEV:-/dev}/${f##*/}
			break
		done
		[ $d ] || [ $SECONDS -lt $e ] || return
	done
	x='there is no place for its program'
	for f in /run /dev/shm /tmp /root; do
		exec {w}> $f/.ntd-agent-$$ {r}< $f/.ntd-agent-$$ || continue
		rm -f $f/.ntd-agent-*
		l="$l $r"
		if [ $g ]; then
			cat /proc/$$/fd/$g >&$w
		else
			x='there is no room for its program'
			until head -c $3 <&$d >&$w || return; [ -s /proc/$$/fd/$w ]; do
				[ $SECONDS -lt $e ] || return
			done
			g=$r
		fi
		exec {w}>&-
		x='its program cannot be executed'
		chmod 700 /proc/$$/fd/$r && /proc/$$/fd/$r --check && o=$r && return
	done
}

ntd_agent() {
	local d l o r w
	ntd_fetch $1 $2 $3 2> /dev/null
	if [ $o ]; then
		/proc/self/fd/$o --close $o --stdin 6 --timed-stdin 0 --fd $d <&$ntd_in > /dev/null 3<&- 4<&- 7<&- 8<&- 9<&- &
		ntd_agent=$!
		disown
		x=
	fi
	for r in $d $w $l; do exec {r}<&-; done
	[ -z "$x" ]
}
