# shellcheck shell=bash
# What the root shell needs for a data port (channel/port.h), beside guest.bash, which says how these
# texts are sent and which variables the functions share. It is sent when the first port is.
#
# Descriptor 3 is the port, and $ntd_p the descriptor that input comes by: 3, or 0 (hvc0) where there
# is no port. $ntd_c prints the checksum of cksum(1) and the length, or the length alone.
# shellcheck disable=SC2015,SC2034,SC2086,SC2154,SC2162,SC2231

ntd_c='wc -c'
type -P cksum > /dev/null && ntd_c='cksum'

# Opens the port named $2, which may appear a moment later; the status is 0 when it has.
ntd_port() {
	local e=$((SECONDS + 5)) i n=$1 p w x more
	ntd_p=0
	exec 3>&-
	while [ $ntd_p = 0 ] && [ $SECONDS -le $e ]; do
		for p in ${NTD_PORTS:-/sys/class/virtio-ports}/*/name; do
			read -r x < $p && [ "$x" = $2 ] && p=${p%/name} || continue
			exec 3<> ${NTD_DEV:-/dev}/${p##*/} && ntd_p=3
		done
		[ $ntd_p = 3 ] || ntd_nap
	done 2> /dev/null
	x=
	ntd_reply "$((ntd_p != 3)) 0"
}

# Waits for a twentieth of a second, without a process: nobody writes to the pipe.
ntd_nap() {
	local x
	exec 9<> /proc/$$/fd/4 && read -t 0.05 -u 9
	exec 9>&-
}

# Passes an output on by the port as it is, first what is in x and $1.
ntd_direct() {
	x=$({ exec 4<&-; printf "%s$1" "$x"; exec cat; } | tee /proc/self/fd/9 9>&1 >&3 2> /dev/null | $ntd_c)
	more=' port'
}

# Sends the output that ntd_spool has kept by the port.
ntd_send() {
	local i=1 g n=$1 p t w x more=' port'
	ntd_watch
	cat /proc/$$/fd/8 >&3 2> /dev/null
	x=$($ntd_c < /proc/$$/fd/8)
	exec 8<&-
	ntd_reply '0 0'
}
