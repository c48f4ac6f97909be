/* The program: what the files outside of the rooms share. */
#pragma once

#include "driver/py_driver.h"

/* Makes the module _test_driver, for py_python_start(). */
PyObject *py_module_init(void);
#define PY_MODULE_NAME "_test_driver"

/* The program generate-driver-symbols; returns its exit status. Called before Python has started.
 */
int py_symbols_generate(char **argv);
