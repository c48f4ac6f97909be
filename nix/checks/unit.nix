# The tests of the C core, with AddressSanitizer and UndefinedBehaviorSanitizer.
{ driver }:
driver.unwrapped.overrideAttrs {
  pname = "nixos-test-driver-unit";
  # Fortified functions would hide faults from the sanitizers.
  hardeningDisable = [ "fortify" ];
  dontBuild = true;
  doCheck = true;
  checkPhase = ''
    patchShebangs tests/fake
    make -j"$NIX_BUILD_CORES" $makeFlags unit
  '';
  installPhase = "mkdir -p $out";
  postFixup = "";
}
