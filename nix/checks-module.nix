# What the tests of this flake have in common: their output has a JUnit report.
{
  extraDriverArgs = [ "--junit-xml=junit.xml" ];
}
