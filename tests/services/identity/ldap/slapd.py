# SPDX-License-Identifier: Apache-2.0
"""A private OpenLDAP server on a loopback port, with a database in a temporary directory and a CA of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from altostratus.services.identity.directory.escaping import escaped

UNPACKED = Path(sys.prefix) / "share/altostratus/slapd"
SUFFIX = "dc=example,dc=org"
ROOT, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "root-password"
SCHEMAS = ("core", "cosine", "nis", "inetorgperson")
CONFIG = """\
{includes}
modulepath {modules}
moduleload back_mdb
pidfile {directory}/pid
argsfile {directory}/args
TLSCACertificateFile {directory}/ca.pem
TLSCertificateFile {directory}/server.pem
TLSCertificateKeyFile {directory}/server.key
sizelimit {sizelimit}
database mdb
maxsize 16777216
suffix "{suffix}"
rootdn "{root}"
rootpw {password}
directory {directory}/data
access to attrs=userPassword by anonymous auth by self write by * none
access to * by * read
"""
BASE_LDIF = f"""\
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups
"""


def why_not() -> str | None:
    """A reason to skip, or None."""
    if (UNPACKED / "usr/sbin/slapd").exists() or shutil.which("slapd", path=_path()):
        return None
    return "needs OpenLDAP's slapd: `./dev` unpacks it, or run tools/fetch-slapd"


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin"


class Slapd:
    """`with Slapd(directory) as server: server.url`. Entries are added as LDIF before the start."""

    def __init__(self, directory: Path, ldif: str = "", *, sizelimit: int = 500) -> None:
        self.directory, self._ldif = directory, ldif
        self._tree = UNPACKED if (UNPACKED / "usr/sbin/slapd").exists() else Path("/")
        self.port, self.tls_port = _free_port(), _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "data").mkdir(parents=True)
        make_certificates(directory)
        schemas = self._tree / "etc/ldap/schema"
        text = CONFIG.format(
            includes="\n".join(f"include {schemas}/{name}.schema" for name in SCHEMAS),
            modules=self._tree / "usr/lib/ldap", directory=directory, sizelimit=sizelimit,
            suffix=SUFFIX, root=ROOT, password=ROOT_PASSWORD,
        )  # fmt: skip
        (directory / "slapd.conf").write_text(text)

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ca_file(self) -> str:
        return str(self.directory / "ca.pem")

    def __enter__(self) -> Self:
        self.run_tool("add", input=BASE_LDIF + "\n" + self._ldif)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        listen = f"{self.url}/ {self.tls_url}/"
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program(), "-h", listen, "-f", str(self.directory / "slapd.conf"), "-d", "0"],
                env=self._environment(), stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 10
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"slapd does not start: {(self.directory / 'log').read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """It accepts connections and says nothing, like a server behind a broken firewall."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self._process.pid}/task")
        while any((one / "stat").read_text().rpartition(")")[2].split()[0] != "T" for one in threads.iterdir()):
            time.sleep(0.01)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def run_tool(self, name: str, **options: Any) -> str:
        done = subprocess.run(
            [self._program(), "-T", name, "-f", str(self.directory / "slapd.conf")],
            env=self._environment(), capture_output=True, text=True, timeout=20, check=False, **options,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def _program(self) -> str:
        return str(self._tree / "usr/sbin/slapd")

    def _environment(self) -> dict[str, str]:
        libraries = [str(path) for path in (self._tree / "usr/lib").glob("*-linux-gnu*")]
        return {"PATH": _path()} | ({"LD_LIBRARY_PATH": ":".join(libraries)} if self._tree == UNPACKED else {})


def person(uid: str, password: str = "", *more: str) -> str:
    """LDIF of a user with `uid` as id and name; the password is `<uid>-password` unless said otherwise."""
    lines = [
        f"dn: uid={escaped(uid)},ou=people,{SUFFIX}", "objectClass: person", "objectClass: inetOrgPerson",
        f"uid: {uid}", f"cn: {uid} of Example", f"sn: {uid}", f"mail: {uid}@example.org",
        f"userPassword: {password or uid + '-password'}", *more,
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n"


def group(name: str, *members: str) -> str:
    dns = [f"member: uid={uid},ou=people,{SUFFIX}" for uid in members] or [f"member: cn={name},ou=groups,{SUFFIX}"]
    lines = [f"dn: cn={name},ou=groups,{SUFFIX}", "objectClass: groupOfNames", f"cn: {name}", f"ou: {name}", *dns]
    return "\n".join(lines) + "\n\n"


def options(server: Slapd, **more: Any) -> dict[str, Any]:
    """The group `ldap` of a domain's configuration for this server."""
    return {
        "url": server.url, "user": ROOT, "password": ROOT_PASSWORD, "suffix": SUFFIX,
        "user_tree_dn": f"ou=people,{SUFFIX}", "user_id_attribute": "uid", "user_name_attribute": "uid",
        "group_tree_dn": f"ou=groups,{SUFFIX}", "group_id_attribute": "cn", "group_name_attribute": "cn",
    } | more  # fmt: skip


def make_certificates(directory: Path) -> None:
    """ca.pem, server.pem and server.key for 127.0.0.1, and other.pem, a CA that has signed nothing."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Test CA", ca_key, "Test CA", ca_key)
    _write(directory / "ca.pem", ca)
    _write(directory / "server.pem", _certificate("127.0.0.1", server_key, "Test CA", ca_key))
    other_key = ec.generate_private_key(ec.SECP256R1())
    _write(directory / "other.pem", _certificate("Other CA", other_key, "Other CA", other_key))
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.key").write_bytes(key)


def _certificate(name: str, key: Any, issuer: str, issuer_key: Any) -> x509.Certificate:
    now, is_ca = datetime.now(UTC), name == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if not is_ca:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0
