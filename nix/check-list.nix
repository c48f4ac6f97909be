# Makes a derivation of a list of checks that need no machine:
#   { what = "the title"; hint = "what to do when it does not hold"; ok = a boolean; command = "a bash command"; }
# A check holds if `ok` is true (known when the flake is evaluated) and `command` succeeds (run by the build); each
# may be left out. The build looks at all checks, then fails if one does not hold. Its output is a JUnit report.
{ lib, runCommand }:
{
  name,
  entries,
  nativeBuildInputs ? [ ],
}:
let
  verify =
    {
      what,
      hint,
      ok ? true,
      command ? "true",
    }:
    lib.escapeShellArgs [
      "verify"
      what
      hint
      (if ok then command else "false")
    ];
in
runCommand name
  {
    inherit nativeBuildInputs;
    passthru.wrong = map (entry: entry.what) (lib.filter (entry: !(entry.ok or true)) entries);
  }
  ''
    total=0 wrong=0 cases=
    escape() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/"/\&quot;/g' <<< "$1"; }
    verify() { # WHAT HINT COMMAND
      local began=''${EPOCHREALTIME/./} failure=
      if ! (set -euo pipefail; eval "$3"); then
        failure="<failure message=\"$(escape "$2")\"/>"
        echo "- $1: $2" >&2
        wrong=$((wrong + 1))
      fi
      total=$((total + 1))
      cases+=$(printf '<testcase classname="%s" name="%s" time="%s">%s</testcase>\n_' ${name} "$(escape "$1")" \
        "$(printf '%07d' $((''${EPOCHREALTIME/./} - began)) | sed 's/......$/.&/')" "$failure")
      cases=''${cases%_}
    }
    ${lib.concatMapStringsSep "\n" verify entries}
    echo "${name}: $((total - wrong)) of $total hold"
    [ $wrong = 0 ] || exit 1
    mkdir -p $out
    printf '<testsuite name="%s" tests="%s" failures="%s">\n%s</testsuite>\n' ${name} $total $wrong "$cases" > $out/junit.xml
  ''
