"""What the agent does in a real guest that has gone back to an earlier state: its clock is set, and its random numbers are
others each time. The test speaks to an agent of its own."""

import base64
import itertools
import struct

import harness

REFRESH, DONE, HELLO = 6, 35, 32
END_OF_2033 = 2_019_686_400

FIRST = """
    def monitor(line):
        answer = machine.send_monitor_command(line)
        assert "rror" not in answer, answer

    # The agent's program is that of the command's parent, and its port a connection to nc.
    REFRESH = '''
        ip link set lo up
        rm -f /tmp/answer
        base64 -d <<< {frame} | nc -l -N 127.0.0.1 4000 > /tmp/answer &
        until exec 9<> /dev/tcp/127.0.0.1/4000; do :; done 2> /dev/null
        /proc/$PPID/exe --fd 9
        exec 9<&-
        wait
        base64 -w 0 /tmp/answer
    '''
"""


def checksum(frame):
    """The agent's: Fletcher's with words of 32 bits."""
    frame += bytes(-len(frame) % 4)
    words = list(itertools.accumulate((word for (word,) in struct.iter_unpack("<I", frame)), initial=1))
    low, high = words[-1] % 0xFFFFFFFF, sum(words[1:]) % 0xFFFFFFFF
    return low ^ (high << 16 | high >> 16) & 0xFFFFFFFF


def refresh_frame(seconds, seed):
    payload = struct.pack("<QII", seconds, 0, len(seed)) + seed
    header = struct.pack("<IIBxxx", len(payload), 1, REFRESH)
    return base64.b64encode(header + struct.pack("<I", checksum(header + payload)) + payload).decode()


def frames_of(answer):
    """What the agent has sent: the kind of each frame, and its payload."""
    answer, frames = base64.b64decode(answer), []
    while answer:
        length, _, kind = struct.unpack_from("<IIBxxx", answer)
        frames.append((kind, answer[16 : 16 + length]))
        answer = answer[16 + length :]
    return frames


def test_the_clock_and_the_random_numbers(without_shares):
    frames = [refresh_frame(END_OF_2033, bytes([i]) * 64) for i in range(3)]
    with harness.Session(without_shares, FIRST) as session:
        session("""
            machine.connect()
            assert machine.succeed("cat /proc/$PPID/comm") == "ntd-agent\\n"
            monitor("savevm then")
            seen = []
            for frame in frames:
                monitor("loadvm then")
                answer = machine.succeed(REFRESH.format(frame=frame))
                seconds = int(machine.succeed("date +%s"))
                assert 0 <= seconds - clock < 600, seconds
                seen += machine.succeed("cat /proc/sys/kernel/random/uuid; head -c 16 /dev/urandom | base64").split()
                print("ANSWER", answer)
            assert len(set(seen)) == 6, seen
        """, seconds=300, frames=frames, clock=END_OF_2033)
        answers = [line.split()[1] for line in session.out.splitlines() if line.startswith("ANSWER")]
    assert [[kind for kind, _ in frames_of(answer)] for answer in answers] == [[HELLO, DONE]] * 3
