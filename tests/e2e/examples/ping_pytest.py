# Two machines on one network: does the client reach the server?


def test_client_reaches_server(client, server):
    client.wait_until_succeeds("ping -c1 192.168.1.2")


def test_server_knows_its_name(server):
    assert server.succeed("hostname").strip() == "server"
