# The test bed, a NixOS module: a small server with SSH, a user and Docker, which the members of vm-test-suite check.
{ lib, pkgs, ... }:
{
  networking.hostName = lib.mkDefault "testbed";

  services.openssh = {
    enable = true;
    settings = {
      PasswordAuthentication = false;
      PermitRootLogin = "no";
    };
  };

  users.users.alice = {
    isNormalUser = true;
    description = "Alice";
    extraGroups = [
      "docker"
      "wheel"
    ];
  };

  virtualisation.docker.enable = true;

  environment.systemPackages = [ pkgs.curl ];

  # Nobody reads manuals here, and they take long to build.
  documentation.enable = false;

  system.stateVersion = "26.05";
}
