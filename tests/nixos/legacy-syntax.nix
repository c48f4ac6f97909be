# A test in the usual style; pytest-syntax.nix tests the same in pytest's style.
{
  name = "legacy-syntax";
  imports = [ ./nodes/web.nix ];

  testScript = ''
    start_all()

    with subtest("the server serves"):
        server.wait_for_unit("nginx.service")
        server.wait_for_open_port(80)

    with subtest("the client gets the page"):
        client.wait_for_unit("network.target")
        page = client.succeed("curl --fail --silent http://server/")
        assert page == "hello", f"the page is {page!r}"

    with subtest("what is not served is refused"):
        client.fail("curl --fail --silent --max-time 5 http://server:81/")
  '';
}
