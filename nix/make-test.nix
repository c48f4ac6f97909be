/*
  Makes a test of whatever nixpkgs takes for one. The result is a derivation or, if there are several tests, an
  attribute set of them.

  A test module goes through `runTest`. A function is called with what nixos/tests/all-tests.nix gives to the files
  beside it, unless it asks for something that only the module system has. What is finished then, made by the test
  framework with the driver of nixpkgs, gets this driver from ./finished-test.nix.
*/
{ pkgs, runTest }:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  inherit (builtins) isAttrs isPath;

  finish = import ./finished-test.nix { inherit lib; };

  # What a function may ask for.
  known = {
    inherit
      pkgs
      lib
      system
      runTest
      handleTest
      ;
    inherit (lib) recurseIntoAttrs;
    runTestOn = systems: if lib.elem system systems then runTest else _: { };
    handleTestOn = systems: if lib.elem system systems then handleTest else _: _: { };
    callTest = lib.id;
  };
  handleTest =
    path: arguments:
    make (placeOf path) (lib.toFunction (import path) ({ inherit pkgs system; } // arguments));

  # What a test module may ask for, and only the module system has.
  ofModuleSystem = [
    "config"
    "extendModules"
    "hostPkgs"
    "moduleType"
    "options"
  ];

  # An attribute set with one of these is one test.
  ofTest = [
    "config"
    "containers"
    "defaults"
    "imports"
    "interactive"
    "machine"
    "name"
    "nodes"
    "options"
    "testScript"
    "testing"
  ];
  isTest =
    value:
    isAttrs value
    && !(value ? _type || lib.isDerivation value)
    && lib.any (name: value ? ${name}) ofTest;

  # Whether this is a result of `makeTest`, `runTest` or `evalTest` of nixpkgs.
  isFinished = value: isAttrs (value.config or null) && value.config ? rawTestDerivation;

  isSystem = value: value._type or null == "configuration" && value ? config.system;

  # Where a value is from, for messages: a file and the attributes that lead to it.
  placeOf = file: {
    file = toString file;
    attributes = [ ];
  };
  below = place: name: place // { attributes = place.attributes ++ [ name ]; };
  wrong =
    { file, attributes }:
    text:
    let
      names = lib.concatStringsSep "." attributes;
      within = if attributes == [ ] then "" else ", attribute `${names}',";
    in
    throw "makeTest: ${file}${within} ${text}";

  fromModule =
    place: module:
    runTest {
      _file = place.file;
      imports = [ module ];
    };

  fromFunction =
    place: function:
    let
      arguments = lib.functionArgs function;
      names = lib.attrNames arguments;
      required = lib.filter (name: !arguments.${name}) names;
      unknown = lib.subtractLists (lib.attrNames known) required;

      # Without a pattern it is a function of the package set, or a module that looks at its arguments later.
      hasPattern = arguments != { };
      takesMore =
        builtins.isFunction function && lib.hasInfix ''ellipsis="1"'' (builtins.toXML function);
      asked = builtins.intersectAttrs arguments known;
      result = function (
        if !hasPattern then
          pkgs // known
        else if takesMore then
          asked // { inherit pkgs lib system; }
        else
          asked
      );
      module = if hasPattern then function else fromModules: function (pkgs // fromModules);
      ofModules = ofModuleSystem ++ [
        "lib"
        "pkgs"
      ];
    in
    if lib.intersectLists ofModuleSystem required != [ ] then
      fromModule place function
    else if unknown != [ ] then
      wrong place ''
        is a function that needs `${lib.head unknown}'. Instead of the file, give makeTest the function
        (pkgs: import FILE { inherit pkgs; ${lib.head unknown} = …; })''
    else if isTest result && lib.subtractLists ofModules names == [ ] then
      fromModule place module
    else
      make place result;

  make =
    place: value:
    if lib.isFunction value then
      fromFunction place value
    else if !isAttrs value then
      wrong place ''
        is no test, but a value of the type ${builtins.typeOf value}. A test is an attribute set with `nodes' and a
        `testScript', or a function of { pkgs, ... } that returns one''
    else if isSystem value then
      wrong place ''
        is no test, but a NixOS system. Make a test of its modules:
        { name = "…"; nodes.machine.imports = [ … ]; testScript = "…"; }''
    else if isFinished value then
      finish value
    else if lib.isDerivation value then
      wrong place ''
        is no test, but the derivation `${value.name}'. If it contains one, give makeTest that''
    else if isTest value then
      fromModule place value
    else
      several place value;

  several =
    place: tests:
    # A file may have no tests for this system.
    if tests == { } && place.attributes == [ ] then
      wrong place "is an empty attribute set. A test has at least `nodes' and a `testScript'"
    else
      lib.mapAttrs (member place) tests;

  # Beside its tests, a set of tests may have builds of another kind.
  member =
    place: name: value:
    if name == "recurseForDerivations" || (lib.isDerivation value && !isFinished value) then
      value
    else
      make (below place name) value;

  fromFile =
    file:
    if builtins.pathExists file then
      make (placeOf file) (import file)
    else
      wrong (placeOf file) "does not exist";
in
test:
if isPath test || (lib.isString test && lib.hasPrefix "/" test) then
  fromFile test
else
  make (placeOf "the argument") test
