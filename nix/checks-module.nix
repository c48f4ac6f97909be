# A module for the tests of this flake: each writes a JUnit report to its output.
{
  extraDriverArgs = [ "--junit-xml=junit.xml" ];
}
