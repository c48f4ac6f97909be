{
  description = "NixOS tests on the driver in C";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    nixos-test-driver = {
      url = "github:OWNER/nixos-test-driver"; # replace OWNER
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { nixpkgs, nixos-test-driver, ... }:
    let
      system = "x86_64-linux";
      test =
        file:
        nixos-test-driver.lib.runTest {
          imports = [ file ];
          hostPkgs = nixpkgs.legacyPackages.${system};
        };
    in
    {
      checks.${system} = {
        legacy = test ./tests/legacy.nix;
        pytest = test ./tests/pytest.nix;
      };
    };
}
