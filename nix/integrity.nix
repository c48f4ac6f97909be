# The list of checks of the test bed's configuration, for ./check-list.nix.
{ config, lib }:
let
  inherit (config) networking services users;
  settings = services.openssh.settings;
  alice = users.users.alice or null;

  own = [
    {
      what = "SSH is on";
      ok = services.openssh.enable;
      hint = "set services.openssh.enable = true";
    }
    {
      what = "SSH can be reached";
      ok =
        !networking.firewall.enable
        || services.openssh.openFirewall
        || lib.all (port: lib.elem port networking.firewall.allowedTCPPorts) services.openssh.ports;
      hint = "set services.openssh.openFirewall = true, or open its ports in networking.firewall.allowedTCPPorts";
    }
    {
      what = "SSH takes keys only";
      ok = settings.PasswordAuthentication == false;
      hint = "set services.openssh.settings.PasswordAuthentication = false";
    }
    {
      what = "root cannot log in by SSH";
      ok = settings.PermitRootLogin == "no";
      hint = "set services.openssh.settings.PermitRootLogin = \"no\"";
    }
    {
      what = "there is a user alice who can log in";
      ok = alice != null && alice.isNormalUser;
      hint = "set users.users.alice.isNormalUser = true";
    }
    {
      what = "alice may use Docker";
      ok = alice != null && lib.elem "docker" alice.extraGroups;
      hint = "add \"docker\" to users.users.alice.extraGroups";
    }
    {
      what = "Docker is on";
      ok = config.virtualisation.docker.enable;
      hint = "set virtualisation.docker.enable = true";
    }
    {
      what = "Docker starts";
      ok = config.systemd.services ? docker;
      hint = "virtualisation.docker.enable makes the unit docker.service; something removed it";
    }
    {
      what = "there is a root file system";
      ok = config.fileSystems ? "/";
      hint = "set fileSystems.\"/\"";
    }
    {
      what = "the release that the state belongs to is fixed";
      ok = config.system.stateVersion != "";
      hint = "set system.stateVersion";
    }
  ];

  # Assertions of NixOS itself that fail, and would stop the build.
  nixos = map (assertion: {
    what = "an assertion of NixOS";
    ok = false;
    hint = lib.replaceStrings [ "\n" ] [ " " ] assertion.message;
  }) (lib.filter (assertion: !assertion.assertion) config.assertions);
in
own ++ nixos
