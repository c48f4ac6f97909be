# All checks of the test bed; `summary.txt` of its output lists each with its result and time.
{ checks, joinReports }:
joinReports {
  name = "vm-test-suite";
  members = {
    inherit (checks)
      vm-build-test
      vm-generation-test
      vm-execution-test
      vm-service-test
      platform-validation-test
      vm-config-integrity-test
      ;
  };
}
