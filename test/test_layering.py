"""The layers of docs/architecture.md hold: imports go down only."""

import ast
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

#: What a pure module may never import: the outside world.
OUTSIDE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
    "twisted",
}

#: Layer by longest matching prefix; a module imports its own layer's
#: siblings in its package, and lower layers.
LAYERS = {
    "anychat": 0,
    "anychat.business_messages": 0,
    "anychat.codes": 0,
    "anychat.errors": 0,
    "anychat.ids": 0,
    "anychat.messages": 0,
    "anychat.terms": 0,
    "anychat.notices": 1,
    "anychat.core": 1,
    "anychat.config": 1,
    "anychat.config_file": 1,
    "anychat.config_keys": 1,
    "anychat.protocols": 1,
    "anychat.protocols.signalling": 2,
    "anychat.protocols.signalling_client": 2,
    "anychat.protocols.signalling_server": 2,
    "anychat.protocols.entrance": 2,
    "anychat.protocols.short_buffer": 2,
    "anychat.protocols.tls": 2,
    "anychat.media": 1,
    "anychat.media.native": 2,
    "anychat.media.port": 2,
    "anychat.media.relay": 2,
    "anychat.banner": 2,
    "anychat.log": 2,
    "anychat.terminal": 2,
    "anychat.verdicts": 2,
    "anychat.protocols.business_boxes": 2,
    "anychat.protocols.business_client": 2,
    "anychat.protocols.business_commands": 2,
    "anychat.protocols.business_end": 2,
    "anychat.protocols.business_server": 2,
    "anychat.protocols.business_types": 2,
    "anychat.filters": 3,
    "anychat.filters.call_queue": 1,
    "anychat.filters.choice": 1,
    "anychat.filters.elf": 1,
    "anychat.filters.handles": 1,
    "anychat.filters.hooks": 1,
    "anychat.filters.host_wire": 1,
    "anychat.filters.texts": 1,
    "anychat.filters.seam": 2,
    "anychat.business": 3,
    "anychat.business.settings": 1,
    "anychat.business.turns": 1,
    "anychat.business.sample.command": 4,
    "anychat.services": 3,
    "anychat.services.event_queue": 1,
    "anychat.services.traces": 1,
    "anychat.services.verdict_roles": 1,
    "anychat.ops": 3,
    "anychat.client": 3,
    "anychat.client.address": 1,
    "anychat.client.link": 2,
    "anychat.client.media.binding": 1,
    "anychat.client.media.jitter": 1,
    "anychat.client.media.statistics": 1,
    "anychat.client.media.sync": 1,
    "anychat.client.refusals": 1,
    "anychat.client.room": 1,
    "anychat.client.trust": 2,
    "anychat.licensing": 2,
    "anychat.licensing.activation": 1,
    "anychat.licensing.activation_file": 2,
    "anychat.licensing.command": 4,
    "anychat.licensing.commands": 3,
    "anychat.licensing.der": 1,
    "anychat.licensing.description": 1,
    "anychat.licensing.extension": 1,
    "anychat.licensing.findings": 1,
    "anychat.licensing.fingerprint": 1,
    "anychat.licensing.judge": 1,
    "anychat.licensing.licence": 1,
    "anychat.licensing.memory": 1,
    "anychat.licensing.service": 3,
    "anychat.licensing.status": 1,
    "anychat.licensing.request": 1,
    "anychat.licensing.ukey_wire": 1,
    "anychat.load": 2,
    "anychat.load.command": 4,
    "anychat.load.histogram": 1,
    "anychat.load.layout": 1,
    "anychat.load.pattern": 1,
    "anychat.load.summary": 1,
    "anychat.load.tally": 1,
    "anychat.transfers": 1,
    "anychat.transfers.files": 2,
    "anychat.transfers.receiving": 2,
    "anychat.transfers.sending": 2,
    "anychat.wiring": 4,
    "anychat.tap": 4,
    "anychat.run": 4,
    "anychat.coreserver": 4,
    "anychat.demo": 4,
}

#: Modules of layer 1 that are allowed a file or an environment by their job.
FILES_ALLOWED = {"anychat.config_file"}

#: Third-party library -> the modules that own it.
OWNERS = {
    "av": ("anychat.client.media",),
    "configobj": ("anychat.config_file", "anychat.config_keys"),
    "construct": ("anychat.protocols.",),
    "cryptography": (
        "anychat.licensing.",
        "anychat.media.srtp",
        "anychat.protocols.certificate",
        "anychat.protocols.signature",
    ),
    "OpenSSL": ("anychat.protocols.tls",),
    "prometheus_client": ("anychat.ops.metrics",),
    "rich": ("anychat.client.progress", "anychat.demo"),
    "numpy": ("anychat.client.media",),
    "usb": ("anychat.licensing.ukey",),
}


def modules():
    """Yield (dotted name, path) of every module of the package."""
    for path in sorted((ROOT / "anychat").rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        yield ".".join(parts), path


def imports(path):
    """Yield the dotted name of everything a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def layer(name):
    """Layer of a module by its longest known prefix."""
    while name not in LAYERS:
        name = name.rpartition(".")[0]
    return LAYERS[name]


class LayeringTests(SynchronousTestCase):
    """The source is under test."""

    def test_importsGoDown(self):
        """No module imports one of a higher layer."""
        for name, path in modules():
            for imported in imports(path):
                if imported.split(".")[0] == "anychat":
                    self.assertLessEqual(
                        layer(imported), layer(name), f"{name} imports {imported}"
                    )

    def test_pureModulesStayPure(self):
        """Layers 0 and 1 import nothing of the outside world."""
        for name, path in modules():
            if layer(name) > 1 or name in FILES_ALLOWED:
                continue
            tops = {imported.split(".")[0] for imported in imports(path)}
            self.assertEqual(tops & OUTSIDE, set(), name)

    def test_packagesKeepApart(self):
        """The core, the media plane and the client libraries do not mix."""
        forbidden = {
            "anychat.core": ("anychat.protocols", "anychat.media", "anychat.licensing"),
            "anychat.licensing": ("anychat.core", "anychat.media", "anychat.services"),
            "anychat.media": ("anychat.core", "anychat.protocols"),
            "anychat.client": (
                "anychat.core",
                "anychat.services",
                "anychat.wiring",
                "anychat.config",
            ),
            "anychat.filters": ("anychat.services",),
            "anychat.transfers": ("anychat.core", "anychat.services", "anychat.client"),
            "anychat.load": ("anychat.core", "anychat.config"),
            "anychat.business": (
                "anychat.core.",
                "anychat.media",
                "anychat.services",
                "anychat.wiring",
            ),
        }
        for name, path in modules():
            for package, others in forbidden.items():
                if name == package or name.startswith(package + "."):
                    for imported in imports(path):
                        self.assertFalse(
                            imported.startswith(others), f"{name} imports {imported}"
                        )

    def test_oneOwnerForEachLibrary(self):
        """A third-party library is imported by its owner modules alone."""
        for name, path in modules():
            for imported in imports(path):
                owners = OWNERS.get(imported.split(".")[0])
                if owners is not None:
                    self.assertTrue(
                        name.startswith(owners), f"{name} imports {imported}"
                    )

    def test_reactorComesFromTheTop(self):
        """In the server only ``tap`` imports the reactor."""
        allowed = {
            "anychat.tap",
            "anychat.coreserver",
            "anychat.client.command",
            "anychat.business.sample.console",
            "anychat.business.sample.tap",
            "anychat.demo",
            "anychat.licensing.command",
            "anychat.load.command",
            "anychat.business.reactor_thread",
            "anychat.business.run",
        }
        for name, path in modules():
            if "twisted.internet.reactor" in imports(path):
                self.assertIn(name, allowed)
