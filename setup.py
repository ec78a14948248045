"""Build entry: the native relay; everything else is declared in setup.cfg.

The extension is optional.  Without Cython or a compiler, or with ANYCHAT_PURE=1,
the package is installed without it and forwards media in Python.
"""

import os

from setuptools import Extension, setup


def extensions():
    """The native relay, if it can be built here."""
    if os.environ.get("ANYCHAT_PURE") == "1":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    relay = Extension(
        "anychat.media._relay",
        ["anychat/media/_relay.pyx"],
        define_macros=[("_GNU_SOURCE", None)],
        # The limits are computed as Python does it: no fused operations.
        extra_compile_args=["-O2", "-ffp-contract=off", "-pthread"],
        extra_link_args=["-pthread"],
    )
    made = cythonize(
        [relay],
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
        },
    )
    for extension in made:
        extension.optional = True
    return made


setup(ext_modules=extensions())
