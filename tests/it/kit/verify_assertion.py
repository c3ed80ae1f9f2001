"""Verifies assertions as a resource server would, with PyJWT: the keys from a URL, the assertion from the command line."""

import json
import sys

import jwt

keys_url, issuer, audience, assertion = sys.argv[1:]
key = jwt.PyJWKClient(keys_url).get_signing_key_from_jwt(assertion)
required = ["iss", "sub", "aud", "iat", "exp", "auth_time", "amr", "email", "email_verified", "jti"]
claims = jwt.decode(
    assertion, key.key, algorithms=["EdDSA"], audience=audience, issuer=issuer, options={"require": required}
)
json.dump(claims, sys.stdout)
