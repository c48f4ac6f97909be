"""A test script, run by the driver, that compares the type stubs of test_driver (*.pyi) with the package at run time:
modules, classes, functions, their parameters with kinds and defaults, and attributes. It fails with a list of
differences. test_python_package.py runs it.
"""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import _test_driver
import test_driver

PACKAGE = Path(test_driver.__path__[0])
EXAMPLES = {"Driver": driver}  # {class: instance}, where attributes of the instance count, too
ABSTRACT = {"BaseMachine"}  # classes whose stub is compared with the classes derived from them
INTERNAL = {"Lazy", "Method", "Object", "Step"}  # classes whose instances look to scripts like something else
OWN = {value for name, value in vars(_test_driver).items() if isinstance(value, type) and name != "__loader__"}
differences, compared = [], set()


def module_name(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def public(names):
    return {name for name in names if not name.startswith("_")}


# ---- declarations of a stub


def declared(body):
    """Returns {name: node} of the declarations of a module or class; the last one of overloads."""
    names = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = node
        elif isinstance(node, ast.Assign):
            names |= {target.id: node for target in node.targets}
        elif isinstance(node, (ast.Import, ast.ImportFrom)):  # "import a as a" exports it
            names |= {alias.name: node for alias in node.names if alias.asname == alias.name}
    return names


def is_property(node):
    """Whether a function is a property, or a setter of one, which comes after the property in the stub."""
    decorators = [getattr(decorator, "id", None) or getattr(decorator, "attr", None) for decorator in node.decorator_list]
    return "property" in decorators or "setter" in decorators


def stub_parameters(node):
    arguments, kinds = node.args, inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [inspect.Parameter.empty] * (len(positional) - len(arguments.defaults))
    defaults += map(ast.literal_eval, arguments.defaults)
    for argument, default in zip(positional, defaults):
        yield argument.arg, kinds.POSITIONAL_ONLY if argument in arguments.posonlyargs else \
            kinds.POSITIONAL_OR_KEYWORD, default
    if arguments.vararg:
        yield arguments.vararg.arg, kinds.VAR_POSITIONAL, kinds.empty
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
        yield argument.arg, kinds.KEYWORD_ONLY, ast.literal_eval(default) if default else kinds.empty
    if arguments.kwarg:
        yield arguments.kwarg.arg, kinds.VAR_KEYWORD, kinds.empty


# ---- comparisons


def compare_function(where, node, function, is_method):
    expected = list(stub_parameters(node))
    try:
        actual = [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
    except ValueError:
        return differences.append(f"{where}: its docstring has no signature")
    if is_method:
        expected = expected[1:]
        # A class method is already bound to its class.
        actual = actual if isinstance(getattr(function, "__self__", None), type) else actual[1:]
    if expected != actual:
        differences.append(f"{where}: stub {expected}, run time {actual}")


def compare_constructor(where, node, cls):
    """Compares the constructor of a C type, whose docstring has the signature."""
    expected = list(stub_parameters(node))[1:]
    actual = [(p.name, p.kind, p.default) for p in inspect.signature(cls).parameters.values()]
    if expected != actual:
        differences.append(f"{where}: stub {expected}, run time {actual}")


def has_attribute(cls, name):
    if cls in OWN:
        return hasattr(cls, name) or hasattr(EXAMPLES.get(cls.__name__), name)
    # Any method of a class in Python may set the attribute.
    return hasattr(cls, name) or name in getattr(cls, "__dataclass_fields__", ()) or \
        any(f"self.{name}" in inspect.getsource(base) for base in cls.__mro__ if base.__module__ == cls.__module__)


def compare_class(where, node, cls, classes):
    compared.add(cls)
    names = {}
    for base in reversed(node.bases):  # base classes of the same module
        names |= declared(classes[base.id].body) if isinstance(base, ast.Name) and base.id in classes else {}
    names |= declared(node.body)
    if node.name in ABSTRACT:
        return
    for name, member in names.items():
        if isinstance(member, ast.ClassDef):
            compare_class(f"{where}.{name}", member, getattr(cls, name), {})
        elif not isinstance(member, ast.FunctionDef) or is_property(member):
            if not has_attribute(cls, name):
                differences.append(f"{where}.{name}: only in the stub")
        elif not hasattr(cls, name):
            differences.append(f"{where}.{name}: only in the stub")
        elif name == "__init__" and cls in OWN:
            compare_constructor(f"{where}.{name}", member, cls)
        else:
            compare_function(f"{where}.{name}", member, getattr(cls, name), is_method=True)
    inherited = {name for base in cls.__mro__ if base.__module__.partition(".")[0] not in ("test_driver", "_test_driver")
                 for name in vars(base)}
    for base in node.bases:  # base classes of another module, which are compared there
        if isinstance(base, ast.Name) and base.id not in classes:
            inherited.update(dir(getattr(sys.modules[cls.__module__], base.id, object)))
    there = {*dir(cls), *getattr(cls, "__dataclass_fields__", ()), *getattr(EXAMPLES.get(cls.__name__), "__dict__", ())}
    for name in public(there) - inherited - set(names):
        differences.append(f"{where}.{name}: not in the stub")


def run_time_class(module, name):
    return getattr(module, name, None) or getattr(_test_driver, name.removeprefix("_"), None)


def compare_module(path):
    module = importlib.import_module(module_name(path))
    names = declared(ast.parse(path.read_text()).body)
    classes = {name: node for name, node in names.items() if isinstance(node, ast.ClassDef)}
    for name, node in names.items():
        where = f"{module.__name__}.{name}"
        if name in classes:
            cls = run_time_class(module, name)
            if cls is None:
                differences.append(f"{where}: only in the stub")
            else:
                compare_class(where, node, cls, classes)
        elif not hasattr(module, name) and not name.startswith("_"):
            differences.append(f"{where}: only in the stub")
        elif isinstance(node, ast.FunctionDef):
            compare_function(where, node, getattr(module, name), is_method=False)
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    for name in (public(own) | set(getattr(module, "__all__", ()))) - set(names):
        differences.append(f"{module.__name__}.{name}: not in the stub")


stubs = {path.with_suffix(".py") for path in PACKAGE.rglob("*.pyi")}
sources = set(PACKAGE.rglob("*.py"))
differences += [f"{path}: without a stub" for path in sources - stubs]
differences += [f"{path}i: without a module" for path in stubs - sources]
for path in sorted(stubs & sources):
    compare_module(path.with_suffix(".pyi"))
differences += [f"{cls}: without a stub" for cls in OWN - compared if cls.__name__ not in INTERNAL]
assert not differences, "\n".join(differences)
print("compared", len(stubs), "modules")
