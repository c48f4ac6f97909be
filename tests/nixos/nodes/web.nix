# A web server and a client of it; for the tests that do the same job in two styles.
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
