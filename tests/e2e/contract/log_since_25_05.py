# A subtest that fails is logged as failed, and its exception goes on.
# needs: t

def failing():
    with subtest("failing"):
        raise ValueError("a reason")


refused(ValueError, "a reason", failing)
#: subtest: failing
#: ...Test "failing" failed with error: "a reason"
#! (finished: subtest: failing...
log.log_test_error("an error of the test")
#: !!! an error of the test
