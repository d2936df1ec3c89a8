"""An authority of its own, and certificates for the auth server's name: one that is good, one that has expired."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority to trust, and two chains with their keys."""

    authority: Path
    good: Path
    expired: Path


def make_certificates(folder: Path, name: str) -> Certificates:
    """Write the files into a folder."""
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("drill authority", "drill authority", authority_key, authority_key, now - DAY, now + DAY)
    found = Certificates(folder / "authority.pem", folder / "good.pem", folder / "expired.pem")
    found.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for path, begin, end in ((found.good, now - DAY, now + DAY), (found.expired, now - 2 * DAY, now - DAY)):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, "drill authority", key, authority_key, begin, end)
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, form, plain)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return found


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
) -> x509.Certificate:
    own = subject == issuer
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=own, crl_sign=own, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder(named[1], named[0], key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject.replace(" ", "-"))]), critical=False)
        .add_extension(usage, critical=True)
    )
    return builder.sign(signer, hashes.SHA256())
