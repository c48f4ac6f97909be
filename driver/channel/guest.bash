# shellcheck shell=bash
# The driver's functions in the guest's root shell, a bash that reads hvc0. Before a shell's first
# command the driver sends it this text (channel/framing.c), without comments, which are lines of
# their own, and without indentation: bash reads it byte by byte, a system call each, and so names
# are short, and what few commands need is in two texts of its own: guest_long.bash, guest_port.bash. The driver replaces $NTD_IDENTITY by the name of its connection, which no other has,
# and $NTD_SHORT_OUTPUT by a number of characters.
#
# A command is one line, `ntd NUMBER TEXT`, `ntd_timeout NUMBER TIMEOUT FIRST REST GRACE TEXT` or
# `ntd_input NUMBER TIMEOUT LIMIT BYTES TEXT`. FIRST is the first second of the time-out, or all of a
# shorter one, REST what is left then, and GRACE how long the output may stay open after it, in
# seconds. LIMIT is the time for reading the output; it and TIMEOUT are '' for none. BYTES is the
# length of the input. What the shell itself is to do is `ntd_own NUMBER TEXT`. The reply is one
# line, too: the output as bash quotes it, the statuses of the command and of the reader of its
# output, and the token IDENTITY-NUMBER (channel/reply.h).
#
# Since the whole line is read before it runs, nothing of it is left on hvc0 for the command's
# standard input. The standard input is hvc0, which tty, stty and su need; but a command that reads
# hvc0 would wait for ever, and take what is meant for the shell. So it is open for writing only, as
# by nohup(1), and reading fails at once. With a time-out it is open for reading, too: job control
# makes the command a background process group, which the kernel stops when it reads its terminal,
# until the time-out ends it. Where the shell has no terminal, the standard input is /dev/null.
#
# A process costs more than anything else here (a third of the time of `true`, emulated), so a short
# output needs none but the command's own: by `lastpipe` the shell itself runs the last part of the
# pipeline. With job control there is no `lastpipe`, so commands with a time-out have one pipe, which
# the shell makes once, and whose other end it opens for each of them. From the second second on
# another process, ntd_watch, keeps the time. Only a command with input is run by timeout(1): its
# pipeline has other processes, too, which the time-out must not end.
#
# Variables that the functions share: n is the number of the command and x its output; more is the
# mark of a long output; t is the time until the time-out, in seconds, and g the grace, both empty
# without a time-out; p is the command's process group; i is set when the command can be interrupted,
# and w is the process ntd_watch.

# Words of numbers and of paths below /proc and /dev/shm need no quotes, which would be sent, too;
# variables come from the function that calls; && and || are shorter than `if`.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154

# Descriptor 7 is hvc0, 6 the standard input of commands without a time-out, $ntd_in that of others.
# Descriptor 4 is the pipe; 3 and $ntd_p are the data port's. $ntd_o has all output of the next command
# sent by it.
exec 7<&0
ntd_in=0 ntd_p=0 ntd_o=
[ -t 0 ] && exec 6> /proc/$$/fd/0 || { ntd_in=6; exec 6< /dev/null; }
ntd_pipe() {
	shopt -s lastpipe
	: | exec 4<&0
}
ntd_pipe

# Kills the shell's descendants (c; b is the list of the last round), except those of the agent
# (agent_channel/launch.sh), with the process groups that they lead. For each process p, $2 is its
# parent, the second word after the name in its stat.
ntd_kill() {
	local a b c=" $$ " p
	while [ "$b" != "$c" ]; do
		b=$c
		for p in /proc/[0-9]*; do
			read -r a < $p/stat && set -- ${a##*) } && p=${p#/proc/} &&
			[[ $c == *" $2 "* && $c != *" $p "* && $p != "$BASHPID" && $p != "$ntd_agent" ]] &&
			c="$c$p "
		done
	done
	for p in ${c#* "$$" }; do
		kill -KILL -- -$p $p
	done
} 2> /dev/null

# Tells, on a line of its own, which processes (f) hold the pipe that the command writes to, here the
# standard input (e: a descriptor of process p), and kills what is left of the command. Processes
# whose own standard input it is help the shell to read.
ntd_held() {
	local a e f p
	for p in /proc/[0-9]*; do
		[ $p = /proc/$$ ] && continue
		for e in "$p"/fd/[1-9]*; do
			[ $e -ef /proc/self/fd/0 ] && read -r a < $p/comm && f="$f ${p#/proc/} ($a)" && break
		done
	done 2> /dev/null
	echo
	echo "$NTD_IDENTITY-$n held$f"
	ntd_kill
}

# Waits in ntd_watch for a line, at most $1 seconds; succeeds when they are over. s is 0 after a
# line.
ntd_pause() {
	read -r -u $u ${1:+-t $1}
	s=$?
	[ $s -gt 128 ]
}

# A child of the shell that watches a command which has taken a second. A command whose caller has
# gone away (Ctrl-C) is killed: the host sends an empty line, which the child waits for. The command
# may read hvc0 none the less, by another name. Two readers of a terminal get its lines in turn, so
# the host goes on with empty lines until it has the reply. A command with input cannot be killed so:
# the input comes by hvc0. When the time-out is over and the command has not ended, the child ends its
# process group as timeout(1) does, and says so by its descriptor 5. What is left after the grace it
# kills, too. Of a command that has ended /proc has no program, even if nobody has waited for it. The
# child's standard input is the pipe; without a redirection of its own it could be /dev/null.
ntd_watch() {
	[ $w ] || [ ! $i$t ] && return
	{
		local s u=7
		[ $i ] || { u=3; exec 3<> /proc/$$/fd/4; }
		ntd_pause $t && [ $p ] && {
			[ -e /proc/$p/exe ] && exec 5<&7 && kill -TERM -- -$p && kill -CONT -- -$p
			ntd_pause $g
		}
		case $s in
		0) ntd_kill;;
		1) ;;
		*) ntd_held;;
		esac
	} <&0 2> /dev/null 3>&- 4<&- 6>&- 8<&- 9<&- &
	w=$!
}

ntd_unwatch() {
	[ $w ] && { kill -KILL $w; wait $w; } 2> /dev/null
}

# Opens a new file that is in memory and has no name, descriptor 9.
ntd_file() {
	local f
	for f in /dev/shm /run /tmp; do
		[ -w $f ] && break
	done
	f=$f/.ntd-$$
	exec 9> $f && rm $f
}

# Puts an output that is long, or has a NUL in it, which bash cannot hold, into such a file,
# descriptor 8; or passes it on by the data port (guest_port.bash). If x is shorter than what ntd_read
# asked for, it was ended by a NUL, which comes next.
ntd_spool() {
	local e s
	[ $ntd_o ] || [ ${#x} -ge $NTD_SHORT_OUTPUT ] || e='\0'
	ntd_watch
	[ $ntd_p = 3 ] && { ntd_direct "$e"; return; }
	ntd_file || return
	{ printf "%s$e" "$x" && cat 4<&-; } >&9
	s=$?
	# Where there is no room: ntd_watch has the pipe open, too, so the command would wait for ever.
	[ $s = 0 ] || cat > /dev/null
	exec 8< /proc/$$/fd/9 9>&-
	x='' more=' more'
	return $s
}

# Reads the output of a command into x, until every process that holds it has closed it. Where
# ntd_watch has ended, it has killed the command, whose output others may still hold. $1 and $2 are
# FIRST and REST.
ntd_read() {
	local LC_ALL=C f=${1:-1} s y
	[ $ntd_o ] && { ntd_spool; return; }
	while :; do
		# shellcheck disable=SC2004 # a number when it is sent
		IFS= read -r -d '' -n $(($NTD_SHORT_OUTPUT - ${#x})) -t $f y
		s=$?
		x=$x$y
		case $s in
		0) ntd_spool; return;;
		1) return 0;;
		esac
		[ $w ] && ! kill -0 $w 2> /dev/null && return
		f=1 t=${2:-$t}
		ntd_watch
	done
}

# Quotes as bash before 4.4 can, too. The newline has printf quote every output as $'TEXT\n'; the last
# three characters are the newline's and the closing quote.
ntd_reply() {
	local LC_ALL=C
	ntd_o=
	ntd_unwatch
	printf -v x %q "$x"$'\n'
	echo "${x%???}' $1 $NTD_IDENTITY-$n$more"
}

ntd() {
	local i=1 n=$1 g p t w x more
	set +m
	shopt -s lastpipe
	bash -c "set -euo pipefail; $2" <&6 3>&- 4<&- 6>&- 7<&- 8<&- | ntd_read
	ntd_reply "${PIPESTATUS[*]}"
}

# A command may close its output and go on; then ntd_watch begins late. The pipe is replaced if others
# may hold it.
ntd_timeout() {
	local i=1 n=$1 t=$2 g=$5 p s w x more
	exec 9> /proc/$$/fd/4
	set -m
	bash -c "set -euo pipefail; $6" <&$ntd_in >&9 3>&- 4<&- 6>&- 7<&- 8<&- 9>&- &
	p=$!
	set +m
	exec 9>&-
	ntd_read $3 $4 <&4
	s=$?
	[ -e /proc/$p/exe ] && ntd_watch <&4
	{
		wait $p
		p=$?
		[ $w ] && {
			kill -0 $w || ntd_pipe
			[ -e /proc/$w/fd/5 ] && p=124
		}
	} 2> /dev/null
	ntd_reply "$p $s"
}

# The text leaves its output in x.
ntd_own() {
	local i n=$1 g p t w x more
	x=
	eval "$2"
	ntd_reply "$? 0"
}
