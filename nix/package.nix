# The driver as a package. `override` takes what nixpkgs' test framework passes to its own driver, in any
# release; arguments that this driver has no use for are ignored.
#
# There are two derivations: the program, which depends on few of these arguments and takes a while to compile, and
# a wrapper around it, which sets the PATH of scripts.
{
  lib,
  stdenv,
  symlinkJoin,
  makeBinaryWrapper,
  pkg-config,
  python3,
  cjson,
  libssh,
  libxml2,
  zlib,
  cmocka,
  # Its compiler makes the program that runs in guests, which is static.
  pkgsStatic,
  coreutils,
  socat,
  util-linux,
  systemd,
  tesseract,
  # Serves the machines' vsock devices for the SSH backdoor; nixpkgs of 2025 and later have it.
  vhost-device-vsock ? null,
  # Character recognition, for machine.wait_for_text() and get_screen_text().
  enableOCR ? false,
  # Packages for scripts to import, a function of a Python package set.
  extraPythonPackages ? _: [ ],
  # Containers: journalctl, which follows their journals. nsenter, which runs their commands, is always there.
  enableNspawn ? false,
  # For scripts that call qemu-img; start scripts bring their own emulator.
  qemu_pkg ? null,
  ...
}:
let
  inherit (lib) fileset;

  # The interpreter that runs scripts finds its packages from its own place, so neither the driver nor the
  # programs it starts see a PYTHONPATH.
  python = python3.withPackages (
    ps:
    [
      ps.ptpython
      ps.pytest
    ]
    ++ extraPythonPackages ps
  );

  ocr = tesseract.override { enableLanguages = [ "eng" ]; };

  agentCompiler = "${pkgsStatic.stdenv.cc}/bin/${pkgsStatic.stdenv.cc.targetPrefix}cc";

  sources = fileset.fileFilter (file: !(file.hasExt "md" || file.hasExt "pyc"));

  program = stdenv.mkDerivation {
    pname = "nixos-test-driver-unwrapped";
    inherit version;

    # Only files that are compiled, installed or tested here, so that other changes do not rebuild the program.
    src = fileset.toSource {
      root = ../.;
      fileset = fileset.unions [
        ../Makefile
        (sources ../driver)
        (sources ../embed)
        ../tests/unit
        ../tests/fake
      ];
    };

    strictDeps = true;
    nativeBuildInputs = [ pkg-config ];
    buildInputs = [
      cjson
      libssh
      libxml2
      python3
      zlib
    ];
    # A type checker that has this package as an input finds the stubs by Python's set-up hook.
    propagatedBuildInputs = [ python3 ];
    nativeCheckInputs = [ util-linux ];
    checkInputs = [ cmocka ];

    enableParallelBuilding = true;
    makeFlags = [
      "PREFIX=${placeholder "out"}"
      "PYTHON=${python}/bin/${python3.executable}"
      "AGENT_CC_${stdenv.hostPlatform.parsed.cpu.name}=${agentCompiler}"
    ];

    # The tests of the C core; none needs QEMU.
    doCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
    checkPhase = ''
      runHook preCheck
      patchShebangs tests/fake
      make -j"$NIX_BUILD_CORES" $makeFlags run-unit
      runHook postCheck
    '';

    # The program loads tesseract's library when it is used, so the linker has not recorded the path. The path of
    # libssh, which is loaded in the same way, is in the program: pkg-config tells it to the Makefile.
    postFixup = lib.optionalString enableOCR ''
      patchelf --add-rpath ${ocr}/lib $out/bin/nixos-test-driver
    '';

    inherit meta;
  };

  version = lib.head (builtins.match ".*\nVERSION = ([^\n]+)\n.*" (builtins.readFile ../Makefile));

  tools = [
    coreutils
    socat
    util-linux
  ]
  ++ lib.optional (vhost-device-vsock != null) vhost-device-vsock
  ++ lib.optional enableNspawn systemd
  ++ lib.optional (qemu_pkg != null) qemu_pkg;

  tessdata = lib.optionalString enableOCR "--set-default TESSDATA_PREFIX ${ocr}/share/tessdata";

  meta = {
    description = "Driver for NixOS VM tests, written in C";
    longDescription = ''
      Boots machines and runs testScripts against them, unchanged, in the place of the driver of nixpkgs.
    '';
    license = lib.licenses.mit;
    mainProgram = "nixos-test-driver";
    platforms = lib.platforms.linux;
  };
in
symlinkJoin {
  name = "nixos-test-driver-${version}";
  paths = [ program ];
  nativeBuildInputs = [ makeBinaryWrapper ];
  postBuild = ''
    wrapProgram $out/bin/nixos-test-driver --prefix PATH : ${lib.makeBinPath tools} ${tessdata}
  '';
  passthru = {
    inherit python version;
    unwrapped = program;
  };
  inherit meta;
}
