# shellcheck shell=sh
# The driver's half of a shell on a serial console: a loop for any POSIX shell, such as busybox's, that
# reads the driver's lines, runs commands and sends what they print. The driver sends this text after
# a login (channel/serial_setup.c), without comments, which are lines of their own, and indentation,
# and replaces $NTD_IDENTITY by a word that no other login has.
#
# The driver's lines are `NUMBER KIND LENGTH DATA`. A line whose DATA has another LENGTH was damaged
# and is not used. Each line has an answer on a line of its own, `IDENTITY NUMBER WORD...`, twice where
# the driver could not go on without it: messages of the kernel come in between, and may damage it.
# The driver repeats a line that has no answer, so a line whose NUMBER is that of the last one does
# nothing again. The kinds are
#
#   T, t, i  DATA begins, or continues, the command's text, or continues its standard input, all
#            written as for printf's %b; the answer is ok
#   X, x     begins, or continues, the text, too, and runs the command: go, and at its end `done STATUS
#            LINES BYTES`, which is about its output, encoded as lines of text; short output follows
#   p        sends lines of that output, DATA being FROM,TO: `part FROM,TO`, the lines, and end
#   s        answers ok
#   q        ends the loop
#
# While a command runs, another shell ($ntd_watch) reads the terminal: an empty line kills the command,
# and if no more processes of the command are there, what waits for its output.
#
# Variables: k, c, z, l are the line's number, kind, length and data; n is the last number that was
# done; t and i are the text and the input, h is set if there is input; a is the pid of the watching
# shell, s the status, d the answer to the last command; e encodes, f is the file of encoded output, b
# runs a text after the text o.

# Another shell expands; words of numbers; not every shell has pipefail.
# shellcheck disable=SC2016,SC2086,SC2046,SC3040

exec 7<&0
trap : INT QUIT TSTP
export TERM=dumb
n='' t='' i='' h='' d=''
if command -v base64 > /dev/null; then e=base64; else e='od -An -v -tx1'; fi
for f in /dev/shm /run /tmp; do
	[ -d $f ] && [ -w $f ] && break
done
f=$f/.ntd-$$
trap 'rm -f $f' EXIT
b='sh -c' o='set -eu; '
if command -v bash > /dev/null; then
	b='bash -c' o='set -euo pipefail; '
elif (set -o pipefail) 2> /dev/null; then
	o='set -euo pipefail; '
fi

# Of the main shell's descendants, the children are its subshell for a command, the grandchildren what
# encodes and what waits for the command, and only the others are the command.
ntd_watch='
kids() {
	r=
	for f in /proc/[0-9]*/stat; do
		read -r x < $f || continue
		p=${x%% *} x=${x##*) }
		x=${x#* }
		x=${x%% *}
		case " $1 " in *" $x "*) [ $p = $$ ] || r="$r $p";; esac
	done
}
while read -r x; do
	[ "$x" ] && continue
	kids $PPID
	a=$r
	kids "$a"
	a="$a $r"
	kids "$r"
	z=
	while [ "$r" ]; do
		z="$z $r"
		kids "$r"
	done
	kill -KILL ${z:-$a}
done 2> /dev/null
'

ntd_say() {
	printf '\n%s\n' "$NTD_IDENTITY $k $*"
}

ntd_go() {
	$b "$o$t" 3>&- 7<&-
}

ntd_part() {
	ntd_say part "$1"
	sed -n "$1p;${1#*,}q" < $f
	ntd_say end
}

ntd_done() {
	ntd_say "$d"
	ntd_say "$d"
	[ "$1" -eq 0 ] || [ "$1" -gt 40 ] || ntd_part "1,$1"
}

ntd_run() {
	ntd_say go
	ntd_say go
	t=$(printf '%b.' "$t")
	t=${t%.}
	sh -c "$ntd_watch" <&7 7<&- &
	a=$!
	s=$({
		{
			if [ $h ]; then
				printf %b "$i" | ntd_go
			else
				ntd_go < /dev/null
			fi
			echo $? >&3
		} | $e > $f
	} 3>&1)
	{ kill -KILL $a; wait $a; } 2> /dev/null
	set -- $(wc -lc < $f)
	d="done ${s:-137} $1 $2" n=$k
	ntd_done $1
}

k=0
ntd_say ready "$(id -un || echo '?')" $e
ntd_say ready "$(id -un || echo '?')" $e
while IFS= read -r l; do
	k=${l%% *} l=${l#* }
	c=${l%% *} l=${l#* }
	z=${l%% *} l=${l#* }
	if [ "${#l}" != "$z" ]; then
		[ ! "$k" ] || ntd_say bad
		continue
	fi
	case $c in
	p) ntd_part "$l"; continue;;
	s) ntd_say ok; continue;;
	q) exit;;
	[Xx]) [ "$k" != "$n" ] || { set -- $d; ntd_done $3; continue; };;
	*) [ "$k" != "$n" ] || { ntd_say ok; continue; };;
	esac
	case $c in
	[TX]) t='' i='' h='';;
	esac
	case $c in
	i) h=1 i=$i$l;;
	*) t=$t$l;;
	esac
	case $c in
	[Xx]) ntd_run;;
	*) n=$k; ntd_say ok;;
	esac
done
