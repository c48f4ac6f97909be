# Makes a derivation that builds others, whose outputs have `junit.xml`, joins these reports into one, and lists
# each member with its result and time in `summary.txt`.
{
  lib,
  python3,
  runCommand,
}:
{
  name,
  # Attribute set of derivations.
  members,
  meta ? { },
  passthru ? { },
}:
runCommand name
  {
    nativeBuildInputs = [ python3 ];
    inherit meta passthru;
  }
  ''
    mkdir -p $out
    ${lib.concatStrings (lib.mapAttrsToList (member: drv: "ln -s ${drv} $out/${member}\n") members)}
    python3 ${./join-reports.py} --name ${lib.escapeShellArg name} $out ${lib.escapeShellArgs (lib.attrNames members)}
  ''
