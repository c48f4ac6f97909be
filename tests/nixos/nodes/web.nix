# A web server and its client, for the tests of the same thing in two styles.
{
  nodes = {
    server = {
      networking.firewall.allowedTCPPorts = [ 80 ];
      services.nginx = {
        enable = true;
        virtualHosts.default.locations."/".return = "200 hello";
      };
    };

    client =
      { pkgs, ... }:
      {
        environment.systemPackages = [ pkgs.curl ];
      };
  };
}
