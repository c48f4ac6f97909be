# The services of the test bed work: SSH, the user, Docker.
{
  name = "vm-service-test";
  nodes.testbed = ../../nix/testbed.nix;

  testScript = ''
    testbed.wait_for_unit("multi-user.target")
    ssh = "ssh -o StrictHostKeyChecking=accept-new -o BatchMode=yes -o ConnectTimeout=10"

    with subtest("the user exists and may use Docker"):
        groups = testbed.succeed("id --name --groups alice").split()
        assert "docker" in groups, f"alice is in {groups}"

    with subtest("SSH lets the user in with a key"):
        testbed.wait_for_unit("sshd.service")
        testbed.wait_for_open_port(22)
        testbed.succeed(
            "su - alice -c 'mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N \"\" -f .ssh/id_ed25519'",
            "su - alice -c 'cp .ssh/id_ed25519.pub .ssh/authorized_keys'",
        )
        assert testbed.succeed(f"su - alice -c '{ssh} localhost whoami'") == "alice\n"

    with subtest("SSH lets nobody in without one"):
        testbed.fail(f"{ssh} alice@localhost true")

    with subtest("Docker runs a container for the user"):
        testbed.wait_for_unit("docker.service")
        # The image is empty, since no registry is reachable here, and its programs are the host's.
        testbed.succeed("tar -c --files-from /dev/null | docker import - empty")
        volumes = "--volume /nix/store:/nix/store:ro --volume /run/current-system/sw/bin:/bin:ro"
        assert testbed.succeed(f"su - alice -c 'docker run --rm {volumes} empty /bin/echo hello'") == "hello\n"
  '';
}
