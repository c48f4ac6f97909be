# The test bed boots, and the basic functions of every system work.
{
  name = "vm-execution-test";
  nodes.testbed = ../../nix/testbed.nix;

  testScript = ''
    with subtest("it boots"):
        testbed.wait_for_unit("multi-user.target")

    with subtest("no unit has failed"):
        failed = testbed.succeed("systemctl list-units --failed --plain --no-legend")
        assert failed == "", f"failed units:\n{failed}"

    with subtest("files can be written and read"):
        testbed.succeed("echo content > /var/tmp/file")
        assert testbed.succeed("cat /var/tmp/file") == "content\n"

    with subtest("it is the configured system"):
        assert testbed.succeed("hostname").strip() == "testbed"
        testbed.succeed("test -e /run/current-system/sw/bin/curl")

    with subtest("it shuts down"):
        testbed.shutdown()
  '';
}
