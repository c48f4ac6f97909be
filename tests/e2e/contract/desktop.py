# X and its windows. Stand-ins for journalctl and xwininfo print what the real programs would.
# vms: machine=tiny

machine.succeed("""cat > /usr/bin/journalctl <<'END'
#!/bin/sh
[ "$*" = "-b SYSLOG_IDENTIFIER=systemd" ] && cat /tmp/journal
END
cat > /usr/bin/xwininfo <<'END'
#!/bin/sh
[ "$*" = "-root -tree" ] && cat /tmp/windows
END
chmod 755 /usr/bin/journalctl /usr/bin/xwininfo
cat > /tmp/windows <<'END'

xwininfo: Window id: 0x1e3 (the root window) (has no name)

  Root window id: 0x1e3 (the root window) (has no name)
  Parent window id: 0x0 (none)
     3 children:
     0x800003 "IceWM 2.9 (Debian)": ("icewm" "IceWM")  1x1+-1+-1  +-1+-1
     0x400022 (has no name): ()  10x10+0+0  +0+0
     0x1200011 "xterm: ~": ("xterm" "XTerm")  484x316+0+0  +10+20
END
echo 'systemd[1]: Reached target Multi-User System.' > /tmp/journal""")
machine.succeed("(sleep 0.5; echo 'systemd[812]: Reached target Current graphical user session.' >> /tmp/journal;"
                " mkdir -p /tmp/.X11-unix; sleep 0.5; touch /tmp/.X11-unix/X0) > /dev/null 2>&1 &")
refused(RequestedAssertionFailed, timed_out(0), machine.wait_for_x, timeout=0)
machine.wait_for_x()
#: machine: waiting for the X11 server
#: (finished: waiting for the X11 server, in S.SS seconds)
machine.succeed("test -e /tmp/.X11-unix/X0")

names = machine.get_window_names()
#: machine: must succeed: xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \"\([^\"]*\)\".*/\1/; t; d'
assert isinstance(names, list) and "xterm: ~" in names and len(names) == 2, names
machine.wait_for_window("^xterm")
#: machine: waiting for a window to appear
#: (finished: waiting for a window to appear, in S.SS seconds)
machine.wait_for_window(r"IceWM \d", timeout=10)
refused(RequestedAssertionFailed, timed_out(1), machine.wait_for_window, "firefox", timeout=1)
#: machine: waiting for a window to appear
#: machine: Last chance to match firefox on the window list, which currently contains: ..., xterm: ~
assert isinstance(raised(machine.wait_for_window, "("), re.error)
machine.succeed("rm /usr/bin/xwininfo")
assert "failed (exit code 127)" in str(raised(machine.get_window_names))
