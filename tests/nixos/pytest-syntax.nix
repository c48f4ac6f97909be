# A test in pytest's style; legacy-syntax.nix tests the same in the usual style.
{
  name = "pytest-syntax";
  imports = [ ./nodes/web.nix ];

  testScript = ''
    import pytest


    def test_the_server_serves(server):
        server.wait_for_unit("nginx.service")
        server.wait_for_open_port(80)


    @pytest.mark.parametrize("path", ["/", "/any"])
    def test_the_client_gets_the_page(client, server, path):
        server.wait_for_open_port(80)
        client.wait_for_unit("network.target")
        assert client.succeed(f"curl --fail --silent http://server{path}") == "hello"


    def test_what_is_not_served_is_refused(client, server):
        server.wait_for_open_port(80)
        client.fail("curl --fail --silent --max-time 5 http://server:81/")
  '';
}
