# Two machines on one network: does the client reach the server?
start_all()

with subtest("the client reaches the server"):
    client.wait_until_succeeds("ping -c1 192.168.1.2")

with subtest("the server knows its name"):
    name = server.succeed("hostname").strip()
    assert name == "server", f"the server calls itself {name}"

print("the server is called", name)
