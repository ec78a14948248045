"""What a wheel holds, and that twistd finds the server in it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import anychat
from test.test_layering import ROOT, imports, modules

PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir")


class DeclarationTests(SynchronousTestCase):
    """setup.cfg against the tree."""

    def setUp(self):
        self.setup = ConfigParser()
        self.setup.read(ROOT / "setup.cfg", encoding="utf-8")

    def test_everyPackageIsListed(self):
        """Packages are listed one by one; none is forgotten."""
        found = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in (ROOT / "anychat").rglob("__init__.py")
        }
        listed = self.setup["options"]["packages"].split()
        self.assertEqual(set(listed), found | {"twisted.plugins"})
        self.assertEqual(listed, sorted(listed))

    def test_pluginDirectoryIsNoPackage(self):
        """With an __init__.py there, Twisted's own plugins would be hidden."""
        self.assertEqual(list((ROOT / "twisted").rglob("__init__.py")), [])

    def test_everyLibraryIsDeclared(self):
        """What the package imports is of the standard library, ours or required."""
        names = {
            "attrs": "attr",
            "prometheus-client": "prometheus_client",
            "pyOpenSSL": "OpenSSL",
            "pyusb": "usb",
            "twisted[tls]": "twisted",
        }
        required = {
            names.get(name, name)
            for line in self.setup["options"]["install_requires"].split()
            if (name := line.partition(">")[0])
        }
        # zope.interface comes with Twisted, which is made of it.
        allowed = required | set(sys.stdlib_module_names) | {"anychat", "zope"}
        for name, path in modules():
            tops = {imported.partition(".")[0] for imported in imports(path)}
            self.assertEqual(tops - allowed, set(), name)


class MakeTests(SynchronousTestCase):
    """The Makefile where it finds no Python that will do."""

    def test_wrongPython(self):
        """Whatever PYTHON is, the message is two lines and names what is needed."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        for name in ("Makefile", "setup.cfg", "setup.py", "pyproject.toml"):
            shutil.copy(ROOT / name, directory)
        program = directory / "python"
        for script, version in (
            ("echo 2.7; exit 1", "2.7"),
            ("echo python: command not found >&2; exit 127", "none"),
            ("test $1 = -c && exit 2; seq 150", "none"),
        ):
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
            done = subprocess.run(
                ["make", "--no-print-directory", "-s", f"PYTHON={program}", "test"],
                cwd=directory,
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(done.returncode, 2)
            self.assertEqual(
                done.stdout,
                f"Python 3.11 or newer is needed, and {program} is {version};\n"
                "name another one: make PYTHON=python3.12 test\n",
            )


class WheelTests(SynchronousTestCase):
    """A wheel that is built from a copy of the tree and installed elsewhere."""

    def run_python(self, *arguments: str, **environment: str) -> str:
        """Run this Python in a directory without the project; its output."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.mktemp_directory(),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def mktemp_directory(self) -> Path:
        """A new directory."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        return directory

    def build(self, trusted: Sequence[str] = (), **environment: str) -> Path:
        """Build a wheel.

        :param trusted: names of files that a vendor puts beside his CA's.
        """
        source, wheels = self.mktemp_directory(), self.mktemp_directory()
        ignore = shutil.ignore_patterns("__pycache__", "dropin.cache", "*.so", "*.c")
        for name in ("anychat", "twisted"):
            shutil.copytree(ROOT / name, source / name, ignore=ignore)
        for name in trusted:
            (source / "anychat" / "licensing" / "trusted" / name).write_text(name)
        for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir")
        self.run_python(*PIP, *build, str(wheels), str(source), **environment)
        [wheel] = wheels.iterdir()
        return wheel

    def contents(self, wheel: Path) -> set[str]:
        """The files in it, without what is about it."""
        names = zipfile.ZipFile(wheel).namelist()
        return {name for name in names if ".dist-info/" not in name}

    def pure_contents(self) -> set[str]:
        """What every wheel has."""
        modules = {
            str(path.relative_to(ROOT)) for path in (ROOT / "anychat").rglob("*.py")
        }
        return modules | {
            "anychat/coreserver.spec",
            "anychat/serversdk.spec",
            "anychat/licensing/trusted/README.md",
            "anychat/load/_wire.pyi",
            "anychat/media/_relay.pyi",
            "twisted/plugins/anychat_plugin.py",
        }

    def assertLists(self, listed: str) -> None:
        """twistd names both servers among its commands."""
        for line in (
            r"anychat +AnyChat core server\.",
            r"anychat-business +AnyChat sample business server\.",
        ):
            self.assertRegex(listed, rf"(?m)^ +{line}$")

    def test_nativeWheel(self):
        """With a compiler the wheel has the native parts besides."""
        if importlib.util.find_spec("Cython") is None or shutil.which("cc") is None:
            raise SkipTest("no Cython or no compiler")
        more = self.contents(self.build(CFLAGS="-O0")) - self.pure_contents()
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        native = ("anychat/load/_wire", "anychat/media/_relay")
        self.assertEqual(more, {name + suffix for name in native})

    def test_withoutCompiler(self):
        """A compiler that fails costs the native parts, not the install."""
        wheel = self.build(CC="false")
        self.assertEqual(self.contents(wheel), self.pure_contents())

    def test_wheel(self):
        """The wheel has the plugin and the specification; twistd lists the server."""
        wheel = self.build(ANYCHAT_PURE="1")
        self.assertTrue(wheel.name.startswith(f"anychat-{anychat.__version__}-py3-"))
        self.assertEqual(self.contents(wheel), self.pure_contents())

        target = self.mktemp_directory()
        install = ("install", "--no-deps", "--no-index", "--target")
        self.run_python(*PIP, *install, str(target), str(wheel))
        # Ahead of the checkout, which an editable install has on the path.
        listed = self.run_python(
            "-c",
            "from twisted.plugins import anychat_plugin\n"
            "print(anychat_plugin.__file__)\n"
            "from twisted.scripts.twistd import run; run()",
            "--help",
            PYTHONPATH=str(target),
        )
        self.assertTrue(listed.startswith(str(target)), listed)
        self.assertLists(listed)
        self.assertTrue((target / "bin" / "anychatcoreserver").exists())
        self.assertTrue((target / "bin" / "anychat-business").exists())
        self.assertTrue((target / "bin" / "anychat-client").exists())
        self.assertTrue((target / "bin" / "anychat-license").exists())
        self.assertTrue((target / "bin" / "anychat-load").exists())

    def test_vendor(self):
        """A vendor's wheel has his licence CA, and none of its secrets."""
        wheel = self.build(("v.pem", "ca.key", "ca.crl", "notes~"), ANYCHAT_PURE="1")
        more = self.contents(wheel) - self.pure_contents()
        self.assertEqual(more, {"anychat/licensing/trusted/v.pem"})

    def test_checkout(self):
        """twistd finds the server in an editable install as well."""
        listed = self.run_python(
            "-c", "from twisted.scripts.twistd import run; run()", "--help"
        )
        self.assertLists(listed)
