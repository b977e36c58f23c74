"""Signs user tokens with PyJWT and joserfc, and prints them as JSON, with the EdDSA key. Key and claims are fixed."""

import base64
import json

import joserfc.jwk
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET = bytes(range(32))
# RFC 8037, A.1: never a secret.
SEED = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")

private_key = Ed25519PrivateKey.from_private_bytes(SEED)
public_key = private_key.public_key()
public_pem = public_key.public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()
private_pem = private_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()

claims = {
    "aud": "app_3kTMd8XwRvBz5NcY1qLh7P",
    "sub": "zoë/42",
    "iat": 1_800_000_000,
    "nbf": 1_800_000_000,
    "exp": 1_800_003_600,
    "jti": "5f0e",
    "chats": [7, 3],
    "name": {"first": "Zoë"},
}

tokens = []


def add(library, algorithm, token):
    tokens.append({"library": library, "alg": algorithm, "token": token})


for algorithm, pyjwt_key, jose_key in [
    ("HS256", SECRET, joserfc.jwk.OctKey.import_key(SECRET)),
    ("EdDSA", private_key, joserfc.jwk.OKPKey.import_key(private_pem)),
]:
    kid = "key-" + algorithm
    add("PyJWT", algorithm, jwt.encode(claims, pyjwt_key, algorithm, headers={"kid": kid}))
    header = {"alg": algorithm, "kid": kid, "typ": "luciq-user+jwt"}
    add("joserfc", algorithm, joserfc.jwt.encode(header, claims, jose_key, algorithms=[algorithm]))

# Signed right, and to be refused.
for name, header in [
    ("a token without kid", {}),
    ("a token with its own key", {"kid": "key-EdDSA", "jwk": {"kty": "OKP"}}),
    ("a token with crit", {"kid": "key-EdDSA", "crit": ["exp"]}),
]:
    add(name, "EdDSA", jwt.encode(claims, private_key, "EdDSA", headers=header))

print(
    json.dumps(
        {
            "publicPEM": public_pem,
            "privatePEM": private_pem,
            "publicJWK": json.dumps(joserfc.jwk.OKPKey.import_key(public_pem).as_dict()),
            "privateJWK": json.dumps(joserfc.jwk.OKPKey.import_key(private_pem).as_dict(private=True)),
            "tokens": tokens,
        }
    )
)
