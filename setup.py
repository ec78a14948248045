"""Build entry: what is compiled; everything else is declared in setup.cfg.

The extensions are optional.  Without Cython or a compiler, or with
ANYCHAT_PURE=1, the package is installed without them and does their work in
Python.  With ANYCHAT_SANITIZE=1 they are built to find their own faults (see
``make asan``).
"""

import os

from setuptools import Extension, setup


def extensions():
    """The native relay and the load generator's wire, if they can be built here."""
    if os.environ.get("ANYCHAT_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    # The limits are computed as Python does it: no fused operations.
    compiling = ["-O2", "-ffp-contract=off", "-pthread"]
    linking = ["-pthread"]
    if os.environ.get("ANYCHAT_SANITIZE") == "1":
        checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        compiling = ["-O1", "-g", "-fno-omit-frame-pointer", *compiling[1:], *checks]
        linking += checks
    relay = Extension(
        "anychat.media._relay",
        ["anychat/media/_relay.pyx"],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=compiling,
        extra_link_args=linking,
    )
    wire = Extension(
        "anychat.load._wire",
        ["anychat/load/_wire.pyx"],
        depends=["anychat/load/_wire.h"],
        extra_compile_args=compiling,
        extra_link_args=linking,
    )
    made = cythonize(
        [relay],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
        },
    ) + cythonize([wire])
    for extension in made:
        extension.optional = True
    return made


setup(ext_modules=extensions())
