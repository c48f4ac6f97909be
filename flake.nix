{
  description = "Driver for NixOS VM tests, written in C; runs testScripts of nixpkgs unchanged, and pytest";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = f: lib.genAttrs systems (system: f system nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (
        system: pkgs: {
          nixos-test-driver = pkgs.callPackage ./nix/package.nix { };
          default = self.packages.${system}.nixos-test-driver;
        }
        // lib.optionalAttrs (system == "x86_64-linux") {
          bootImage = import ./nix/boot-image.nix { inherit nixpkgs pkgs; };
        }
      );

      overlays.default = import ./nix/overlay.nix;

      nixosTestModules.default = ./nix/test-module.nix;

      lib = import ./nix/lib.nix { inherit nixpkgs; };

      checks = forEachSystem (system: pkgs: import ./nix/checks { inherit nixpkgs pkgs self; });

      apps = forEachSystem (
        system: pkgs: {
          default = {
            type = "app";
            program = lib.getExe self.packages.${system}.default;
            meta.description = "Run a test by hand: nix run . -- --config FILE, or -- --vm-start-scripts … SCRIPT";
          };
        }
      );

      devShells = forEachSystem (
        system: pkgs: {
          default = import ./nix/shell.nix {
            inherit pkgs;
            driver = self.packages.${system}.default;
          };
        }
      );

      formatter = forEachSystem (system: pkgs: pkgs.nixfmt-tree);

      templates.default = {
        path = ./nix/template;
        description = "A project with two NixOS tests on this driver, one in the usual style and one in pytest's";
      };
    };
}
