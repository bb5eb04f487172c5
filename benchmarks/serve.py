"""The emulator in a process of its own: a command a line on standard input, its answer on standard output."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from credchain.emulator import Emulator, Fault, serve_in_thread


def main() -> None:
    """Serve until standard input ends. The first line that is written is the environment for the workloads."""
    folder = Path(sys.argv[1])
    emulator = Emulator()
    with serve_in_thread(emulator):
        certificates = {
            "certificate": write_certificate(folder, 2048),
            "certificate4096": write_certificate(folder, 4096),
        }
        application = emulator.add_application(certificates=[path.read_bytes() for path in certificates.values()])
        environment = emulator.environment(application, identity=True)
        environment |= {f"BENCHMARK_{name.upper()}": str(path) for name, path in certificates.items()}
        print(json.dumps(environment), flush=True)
        for line in sys.stdin:
            print(json.dumps({"answer": obey(emulator, **json.loads(line))}), flush=True)


def obey(emulator: Emulator, *, do: str, **arguments: Any) -> Any:
    """One command."""
    if do == "reset":
        emulator.heal()
        emulator.forget()
        emulator.answer_delay, emulator.token_lifetime, emulator.refresh_in = 0.0, None, None  # type: ignore[assignment]
    elif do == "set":
        for name, value in arguments.items():
            setattr(emulator, name, value)
    elif do == "fail":
        route = arguments.pop("route")
        if "body" in arguments:
            arguments["body"] = arguments["body"].encode()
        emulator.fail(route, Fault(**arguments))
    elif do == "counts":
        requests = emulator.count("token") + emulator.count("imds") + emulator.count("metadata")
        return {"requests": requests, "connections": emulator.connections}
    else:
        raise ValueError(f"no command {do!r}")
    return None


def write_certificate(folder: Path, bits: int) -> Path:
    """A PEM file with an RSA key and a certificate for it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"certificate-{bits}.pem"
    path.touch(mode=0o600)
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


if __name__ == "__main__":
    main()
