"""Two real guests on a VLAN of the driver."""

import pytest

import harness


@pytest.fixture(scope="module")
def vms(guests):
    return {"client": guests.tiny("client", 1, [1]), "server": guests.tiny("server", 2, [1])}


@pytest.fixture(scope="module")
def session(vms):
    with harness.Session(vms, "import threading, time", vlans=[1]) as running:
        yield running


def test_two_guests_from_a_configuration(vms):
    """The usual run of a NixOS test: a configuration file, two guests on a VLAN, and a script."""
    result = harness.run("""
        start_all()
        client.wait_until_succeeds("ping -c1 192.168.1.2")
        print(server.succeed("hostname"))
    """, vms, vlans=[1])
    assert result.lines == ["server", ""]


def test_addresses_and_packets(session):
    session("""
        start_all()
        client.wait_until_succeeds("ping -c 1 -W 2 192.168.1.2")
        server.succeed("ping -c 1 -W 2 192.168.1.1")
        client.succeed("ping -c 3 -s 1400 -W 2 192.168.1.2")
        client.succeed("ping -c 1 -W 2 2001:db8:1::2")
        client.fail("ping -c 1 -W 1 192.168.1.3")
        assert [one.name for one in machines] == ["client", "server"]
    """)


def test_bulk(session):
    session("""
        server.execute("(head -c 10000000 /dev/zero | nc -l -p 6000 -q 0) > /dev/null 2>&1 &")
        assert client.wait_until_succeeds("nc -d -w 5 192.168.1.2 6000 | wc -c | grep 10000000").strip() == "10000000"
    """)


def test_tagged_frames(session):
    session("""
        for one, n in ((client, 1), (server, 2)):
            one.succeed("ip link add link eth1 name eth1.10 type vlan id 10",
                        f"ip addr add 10.10.10.{n}/24 dev eth1.10", "ip link set eth1.10 up")
        client.wait_until_succeeds("ping -c 1 -W 2 10.10.10.2", timeout=30)
        client.succeed("ping -c 3 -s 1400 -W 2 10.10.10.2")
        client.succeed("ip link add link eth1 name eth1.11 type vlan id 11",
                       "ip addr add 10.10.11.1/24 dev eth1.11", "ip link set eth1.11 up")
        client.fail("ping -c 1 -W 1 10.10.11.2")
    """)


def test_block_and_unblock(session):
    session("""
        client.succeed("ping -c 1 -W 2 192.168.1.2")
        client.block()
        client.fail("ping -c 1 -W 1 192.168.1.2")
        client.unblock()
        client.wait_until_succeeds("ping -c 1 -W 2 192.168.1.2", timeout=20)
    """)


def test_threads_on_two_machines(session):
    session("""
        results = {}

        def work(one):  # each command waits until the other one has begun
            results[one.name] = one.succeed("touch /tmp/shared/$(hostname); until [ -e /tmp/shared/client -a -e "
                                            "/tmp/shared/server ]; do sleep 0.1; done; hostname")

        threads = [threading.Thread(target=work, args=(one,)) for one in machines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {"client": "client\\n", "server": "server\\n"}, results
    """)


def test_shared_directory_of_all_machines(session):
    session("""
        client.succeed("echo shared > /tmp/shared/file")
        assert server.succeed("cat /tmp/shared/file; rm /tmp/shared/file") == "shared\\n"
        client.succeed("echo own > /tmp/xchg/file")
        server.fail("test -e /tmp/xchg/file")
    """)


def test_a_port_is_free_again(session):
    """A machine that is started again has its network again; a machine that has ended does not disturb the others."""
    session("""
        server.crash()
        client.fail("ping -c 1 -W 1 192.168.1.2")
        server.start()
        client.wait_until_succeeds("ping -c 1 -W 2 192.168.1.2", timeout=60)
        client.crash()
        assert server.succeed("hostname") == "server\\n"
    """)
