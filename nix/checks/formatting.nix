# Every Nix file is formatted as `nix fmt` does it.
{ pkgs }:
let
  inherit (pkgs.lib) fileset;
in
pkgs.runCommand "formatting" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
  cd ${
    fileset.toSource {
      root = ../..;
      fileset = fileset.fileFilter (file: file.hasExt "nix") ../..;
    }
  }
  find . -name '*.nix' -exec nixfmt --check {} +
  touch $out
''
