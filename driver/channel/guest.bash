# shellcheck shell=bash
# The driver's functions in the guest's root shell, a bash that reads hvc0. Before a shell's first
# command the driver sends it this text (channel/framing.c), without comments, which are lines of
# their own, and without indentation: bash reads it byte by byte, a system call each, and so names
# are short. The driver replaces $NTD_IDENTITY by the name of its connection, which no other has,
# and $NTD_SHORT_OUTPUT by a number of characters.
#
# A command is one line, `ntd NUMBER TEXT`, `ntd_timeout NUMBER TIMES TEXT` or `ntd_input NUMBER
# TIMES BYTES TEXT`, where TIMES are its time-out and the limit for reading its output, in seconds,
# each '' for none, and BYTES is the length of its input. The reply is one line, too: the output as
# bash quotes it, the statuses of the command and of the reader of its output, and the token
# IDENTITY-NUMBER (channel/reply.h).
#
# Since the whole line is read before it runs, nothing of it is left on hvc0 for the command's
# standard input. The standard input is hvc0, which tty, stty and su need; but a command that reads
# hvc0 would wait for ever, and take what is meant for the shell. So it is open for writing only, as
# by nohup(1), and reading fails at once. With a time-out it is open for reading, too: timeout(1)
# makes the command a background process group, which the kernel stops when it reads its terminal,
# until the time-out ends it. Where the shell has no terminal, the standard input is /dev/null.
#
# A process costs more than anything else here (a third of the time of `true`, emulated), so a short
# output needs none but the command's own: by `lastpipe` the shell itself runs the last part of the
# pipeline.
#
# Variables that the functions share: n is the number of the command and x its output; more is the
# mark of a long output; l is the limit for reading the output, in seconds, or empty; i is set when
# the command can be interrupted, and w is the process that waits for the interruption.

# Words of numbers and of paths below /proc and /dev/shm need no quotes, which would be sent, too;
# variables come from the function that calls; && and || are shorter than `if`.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154

# Descriptor 7 is hvc0, 6 the standard input of commands without a time-out, $ntd_in that of others.
exec 7<&0
ntd_in=0
[ -t 0 ] && exec 6> /proc/$$/fd/0 || { ntd_in=6; exec 6< /dev/null; }

# Kills the shell's descendants (c; b is the list of the last round) with the process groups that
# they lead. For each process p, $2 is its parent, the second word after the name in its stat.
ntd_kill() {
	local a b c=" $$ " p
	while [ "$b" != "$c" ]; do
		b=$c
		for p in /proc/[0-9]*; do
			read -r a < $p/stat && set -- ${a##*) } && p=${p#/proc/} &&
			[[ $c == *" $2 "* && $c != *" $p "* && $p != "$BASHPID" ]] && c="$c$p "
		done
	done
	for p in ${c#* "$$" }; do
		kill -KILL -- -$p $p
	done
} 2> /dev/null

# Tells, on a line of its own, which processes (f) hold the pipe that the shell reads from, its
# standard input (e: a descriptor of process p), and kills what is left of the command.
ntd_held() {
	local a e f p
	for p in /proc/[0-9]*; do
		[ $p = /proc/$$ ] && continue
		for e in "$p"/fd/*; do
			[ $e -ef /proc/$$/fd/0 ] && read -r a < $p/comm && f="$f ${p#/proc/} ($a)" && break
		done
	done 2> /dev/null
	echo
	echo "$NTD_IDENTITY-$n held$f"
	ntd_kill
}

# A command whose caller has gone away (Ctrl-C) is killed: the host sends an empty line, which a
# child of the shell waits for when a command has taken a second. The command may read hvc0 none the
# less, by another name. Two readers of a terminal get its lines in turn, so the host goes on with
# empty lines until it has the reply. A command with input cannot be killed so: the input comes by
# hvc0.
ntd_watch() {
	[ $i ] && [ ! $w ] || return
	{ read -r -u 7 && ntd_kill; } < /dev/null > /dev/null 2>&1 6>&- 8<&- 9<&- &
	w=$!
}

ntd_unwatch() {
	[ $w ] && { kill -KILL $w; wait $w; } 2> /dev/null
}

# Puts an output that is long, or has a NUL in it, which bash cannot hold, in base64 into a file
# that is in memory and has no name, descriptor 8. If x is shorter than what ntd_read asked for, it
# was ended by a NUL, which comes next. s are statuses: of what reads the rest, and of base64.
ntd_spool() {
	local e f s
	[ ${#x} -lt $NTD_SHORT_OUTPUT ] && e='\0'
	for f in /dev/shm /run /tmp; do
		[ -w $f ] && break
	done
	f=$f/.ntd-$$
	exec 9> $f 8< $f && rm $f || return
	ntd_watch
	{ printf "%s$e" "$x"; ${l:+timeout $l} cat; } | base64 -w 0 >&9
	# shellcheck disable=SC2206 # numbers
	s=(${PIPESTATUS[*]})
	exec 9>&-
	x='' more=' more'
	[ ${s[0]} = 124 ] && ntd_held
	return ${s[1]}
}

# Reads the output of a command into x, until every process that holds it has closed it. A process
# that outlives the command and its time-out would keep the shell here; hence the limit l, which is
# some seconds longer than the time-out.
ntd_read() {
	local LC_ALL=C e=$((SECONDS + l)) s y
	while :; do
		# shellcheck disable=SC2004 # a number when it is sent
		IFS= read -r -d '' -n $(($NTD_SHORT_OUTPUT - ${#x})) -t 1 y
		s=$?
		x=$x$y
		case $s in
		0) ntd_spool; return;;
		1) return 0;;
		esac
		[ $l ] && [ $SECONDS -ge $e ] && { ntd_held; return; }
		[ $w ] && ! kill -0 $w 2> /dev/null && return
		ntd_watch
	done
}

ntd_reply() {
	local LC_ALL=C
	ntd_unwatch
	echo "${x@Q} $1 $NTD_IDENTITY-$n$more"
}

ntd() {
	local i=1 l n=$1 w x more
	set +m
	shopt -s lastpipe
	bash -c "set -euo pipefail; $2" <&6 6>&- 7<&- 8<&- | ntd_read
	ntd_reply "${PIPESTATUS[*]}"
}

ntd_timeout() {
	local i=1 l=$3 n=$1 w x more
	set +m
	shopt -s lastpipe
	timeout $2 bash -c "set -euo pipefail; $4" <&$ntd_in 6>&- 7<&- 8<&- | ntd_read
	ntd_reply "${PIPESTATUS[*]}"
}

# The line is followed by $4 raw bytes. Those that the command does not read are swallowed, so that
# the shell never takes them for commands.
ntd_input() {
	local i l=$3 n=$1 w x more
	set +m
	shopt -s lastpipe
	head -c $4 | (
		${2:+timeout $2} bash -c "set -euo pipefail; $5"
		s=$?
		cat > /dev/null
		exit $s
	) 6>&- 7<&- 8<&- | ntd_read
	ntd_reply "${PIPESTATUS[*]:1}"
}

# Sends the next piece of a long output, at most $2 characters.
ntd_more() {
	dd bs=$2 count=1 <&8 2> /dev/null
	echo " $NTD_IDENTITY-$1"
}
