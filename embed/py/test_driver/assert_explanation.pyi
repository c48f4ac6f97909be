# The types of test_driver.assert_explanation for type checkers; the module documents the names.

from test_driver.assert_rewriting import Assertion

def explanation(assertion: Assertion) -> str: ...
