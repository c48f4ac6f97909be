# The shell of `nix develop`: the tools of `make`, `make check` and `make test`, without Debian's guests.
{ pkgs, driver }:
pkgs.mkShell {
  inputsFrom = [ driver.unwrapped ];
  packages = [
    driver.python
    pkgs.clang-tools
    pkgs.cmocka
    pkgs.cppcheck
    pkgs.mypy
    pkgs.nixfmt-tree
    pkgs.python3Packages.pyflakes
    pkgs.qemu_test
    pkgs.shellcheck
    pkgs.tmux
  ];
}
